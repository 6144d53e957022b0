package httpproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A route is one operation that a target's OpenAPI document describes.
type route struct {
	name     string // the operationId, or else method and template
	template string
	segments []string // "" stands for a parameter
}

// routes are what a target offers, by method.
type routes map[string][]route

// parseRoutes reads an OpenAPI document, version 3 in JSON, as far as methods and
// paths are concerned. The paths of its servers are put before its own.
func parseRoutes(b []byte) (routes, error) {
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Servers []struct{ URL string }                `json:"servers"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, errors.New("not an OpenAPI document in JSON")
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") || len(doc.Paths) == 0 {
		return nil, errors.New("not an OpenAPI document of version 3 with paths")
	}
	bases := []string{""}
	for i, s := range doc.Servers {
		base := s.URL
		if _, rest, ok := strings.Cut(base, "://"); ok {
			_, base, _ = strings.Cut(rest, "/")
			base = "/" + base
		}
		if base = strings.TrimSuffix(base, "/"); strings.ContainsAny(base, "{}") || base != "" && !strings.HasPrefix(base, "/") {
			return nil, fmt.Errorf("server %d: only a URL without variables can be used", i+1)
		}
		if i == 0 {
			bases = nil
		}
		bases = append(bases, base)
	}
	rs := routes{}
	for path, item := range doc.Paths {
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("path %q does not begin with a slash", path)
		}
		for method, raw := range item {
			switch method = strings.ToUpper(method); method {
			case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
			default:
				continue // parameters, summary and the like; TRACE is never passed on
			}
			var op struct {
				ID string `json:"operationId"`
			}
			if err := json.Unmarshal(raw, &op); err != nil {
				return nil, fmt.Errorf("path %q: %s is not an operation", path, method)
			}
			for _, base := range bases {
				r := route{name: op.ID, template: base + path}
				if r.name == "" {
					r.name = method + " " + path
				}
				for seg := range strings.SplitSeq(r.template, "/") {
					if strings.ContainsAny(seg, "{}") {
						if !strings.HasPrefix(seg, "{") || strings.IndexByte(seg, '}') != len(seg)-1 {
							return nil, fmt.Errorf("path %q: a parameter has to be a whole segment", path)
						}
						seg = ""
					}
					r.segments = append(r.segments, seg)
				}
				rs[method] = append(rs[method], r)
			}
		}
	}
	return rs, nil
}

// find returns the route for a decoded path, or nil. Of several the one with
// the longest run of literal segments counts, as OpenAPI has it.
func (rs routes) find(method, path string) *route {
	segments := strings.Split(path, "/")
	var best *route
	for i := range rs[method] {
		if r := &rs[method][i]; r.matches(segments) && (best == nil || r.before(best)) {
			best = r
		}
	}
	if best == nil && method == "HEAD" {
		return rs.find("GET", path)
	}
	return best
}

func (r *route) matches(segments []string) bool {
	if len(segments) != len(r.segments) {
		return false
	}
	for i, want := range r.segments {
		// The first is empty, before the slash; so is the last of a path that
		// ends in one, which only a template that does matches.
		literal := want != "" || i == 0 || i == len(r.segments)-1 && strings.HasSuffix(r.template, "/")
		if literal && segments[i] != want || !literal && segments[i] == "" {
			return false
		}
	}
	return true
}

func (r *route) before(other *route) bool {
	for i := range r.segments {
		if a, b := r.segments[i] != "", other.segments[i] != ""; a != b {
			return a
		}
	}
	return false
}

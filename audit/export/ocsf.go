package export

import (
	"cmp"
	"encoding/json"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/audit"
)

// ocsfVersion is the version of the schema that OCSF follows.
const ocsfVersion = "1.8.0"

// The classes of OCSF that events become.
const (
	ocsfEntity    = 3004 // Entity Management
	ocsfLogin     = 3002 // Authentication
	ocsfHTTP      = 4002 // HTTP Activity
	ocsfSSH       = 4007 // SSH Activity
	ocsfAPI       = 6003 // API Activity
	ocsfDatastore = 6005 // Datastore Activity
)

const ocsfOther = 99

// An ocsfEvent holds what is filled of a class, in the order of its attributes.
type ocsfEvent struct {
	Activity     int            `json:"activity_id"`
	ActivityName string         `json:"activity_name,omitempty"`
	Category     int            `json:"category_uid"`
	Class        int            `json:"class_uid"`
	Type         int            `json:"type_uid"`
	Time         int64          `json:"time"`               // ms
	Duration     int64          `json:"duration,omitempty"` // ms
	Severity     int            `json:"severity_id"`
	Status       int            `json:"status_id"`
	StatusCode   string         `json:"status_code,omitempty"`
	StatusDetail string         `json:"status_detail,omitempty"`
	Action       int            `json:"action_id,omitempty"`
	Disposition  int            `json:"disposition_id,omitempty"`
	Message      string         `json:"message,omitempty"`
	Metadata     ocsfMetadata   `json:"metadata"`
	Actor        *ocsfActor     `json:"actor,omitempty"`
	User         *ocsfUser      `json:"user,omitempty"` // of Authentication
	Session      *ocsfUID       `json:"session,omitempty"`
	Source       *ocsfEndpoint  `json:"src_endpoint,omitempty"`
	Target       *ocsfEndpoint  `json:"dst_endpoint,omitempty"`
	Database     *ocsfNamed     `json:"database,omitempty"`
	Query        *ocsfQuery     `json:"query_info,omitempty"`
	API          *ocsfAPICall   `json:"api,omitempty"`
	Resources    []ocsfResource `json:"resources,omitempty"`
	Request      *ocsfRequest   `json:"http_request,omitempty"`
	Entity       *ocsfNamed     `json:"entity,omitempty"`
	Risk         int            `json:"risk_score,omitempty"`
	Unmapped     map[string]any `json:"unmapped,omitempty"`
}

type (
	ocsfMetadata struct {
		Version  string      `json:"version"`
		UID      string      `json:"uid"` // journal:number
		Sequence uint64      `json:"sequence"`
		LogName  string      `json:"log_name"`
		Product  ocsfProduct `json:"product"`
		Profiles []string    `json:"profiles"`
	}
	ocsfProduct struct {
		Name   string `json:"name"`
		Vendor string `json:"vendor_name"`
	}
	ocsfActor struct {
		User           *ocsfUser       `json:"user,omitempty"`
		Session        *ocsfUID        `json:"session,omitempty"`
		App            string          `json:"app_name,omitempty"`
		Authorizations []ocsfAuthorize `json:"authorizations,omitempty"`
	}
	ocsfUser struct {
		UID    string      `json:"uid,omitempty"`
		Name   string      `json:"name,omitempty"`
		Email  string      `json:"email_addr,omitempty"`
		Domain string      `json:"domain,omitempty"` // the issuer
		Type   int         `json:"type_id"`
		Groups []ocsfNamed `json:"groups,omitempty"`
	}
	ocsfUID struct {
		UID string `json:"uid"`
	}
	ocsfNamed struct {
		Name string `json:"name"`
		Type int    `json:"type_id,omitempty"`
	}
	ocsfEndpoint struct {
		IP       string `json:"ip,omitempty"`
		Port     int    `json:"port,omitempty"`
		Hostname string `json:"hostname,omitempty"`
		Name     string `json:"name,omitempty"`
	}
	ocsfQuery struct {
		Name  string `json:"name"`
		Text  string `json:"query_string"`
		UID   string `json:"uid,omitempty"`
		Bytes int64  `json:"bytes,omitempty"`
	}
	ocsfAPICall struct {
		Operation string    `json:"operation"`
		Service   ocsfNamed `json:"service"`
	}
	ocsfResource struct {
		Name string `json:"name"`
		Type string `json:"type,omitempty"`
	}
	ocsfRequest struct {
		Method string `json:"http_method,omitempty"`
		Agent  string `json:"user_agent,omitempty"`
	}
	ocsfAuthorize struct {
		Decision string     `json:"decision"`
		Policy   *ocsfNamed `json:"policy,omitempty"`
	}
)

// OCSF is the event in the Open Cybersecurity Schema Framework: operations of
// databases are Datastore Activity, of HTTP targets HTTP Activity, of SSH targets
// SSH Activity, others API Activity; logins and sessions are Authentication;
// requests for approval and what the journal says of itself are Entity
// Management. What the schema has no place for is in "unmapped", and "unknown"
// stands where it wants a name and there is none.
func OCSF(origin string, e *audit.Event) ([]byte, error) {
	o := ocsfEvent{Time: e.Time.UnixMilli(), Severity: ocsfSeverity(e), Unmapped: map[string]any{"kind": e.Kind},
		Metadata: ocsfMetadata{Version: ocsfVersion, UID: origin + ":" + strconv.FormatUint(e.Seq, 10), Sequence: e.Seq, LogName: origin,
			Product: ocsfProduct{"gateway", "Sallyport"}, Profiles: []string{"security_control"}}}
	o.who(e)
	o.what(e)
	o.outcome(e)
	o.fit()
	o.Category, o.Type = o.Class/1000, o.Class*100+o.Activity
	return json.Marshal(o)
}

// fit moves what the schema has no place for in a class to where everything is
// allowed.
func (o *ocsfEvent) fit() {
	switch o.Class {
	case ocsfHTTP, ocsfSSH:
		o.Metadata.Profiles = append(o.Metadata.Profiles, "host") // it brings actor
	case ocsfEntity:
		if o.Target.Name != "unknown" {
			o.Unmapped["dst_endpoint"] = o.Target
		}
		o.Target = nil
	}
	if o.Class != ocsfAPI && o.Resources != nil {
		o.Unmapped["resources"], o.Resources = o.Resources, nil
	}
}

func (o *ocsfEvent) who(e *audit.Event) {
	if o.Source = ocsfEndpointOf(string(e.Remote)); *o.Source == (ocsfEndpoint{}) {
		o.Source.Name = "unknown" // the schema needs one
	}
	o.Target = &ocsfEndpoint{Name: "unknown"}
	if t := e.Target; t != nil {
		o.Target = ocsfEndpointOf(string(t.Addr))
		o.Target.Name = cmp.Or(string(t.Name), "unknown")
	}
	actor := &ocsfActor{User: &ocsfUser{Name: cmp.Or(string(e.User), "unknown")}}
	if id := e.Identity; id != nil {
		actor.User = ocsfUserOf(id)
		if id.OnBehalfOf != nil {
			o.Unmapped["on_behalf_of"] = ocsfUserOf(id.OnBehalfOf)
		}
	}
	if e.Session != "" {
		actor.Session = &ocsfUID{e.Session}
	}
	if e.Tool != nil {
		actor.App = string(e.Tool.Name)
		o.Unmapped["tool_trust"] = e.Tool.Trust
	}
	o.Actor = actor
}

// ocsfEndpointOf is an address as an endpoint; one that is none of a network has
// no place in it.
func ocsfEndpointOf(addr string) *ocsfEndpoint {
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return &ocsfEndpoint{IP: ap.Addr().String(), Port: int(ap.Port())}
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return &ocsfEndpoint{}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		n = 0
	}
	return &ocsfEndpoint{Hostname: host, Port: int(n)}
}

// ocsfEmail is what the schema takes for an address of mail.
var ocsfEmail = regexp.MustCompile(`^[a-zA-Z0-9!#$%&'*+\-/=?^_{|}~.` + "`" + `]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+$`)

func ocsfUserOf(id *audit.Identity) *ocsfUser {
	u := &ocsfUser{UID: string(id.Subject), Name: string(id.Name), Domain: string(id.Issuer), Type: 1} // user
	if ocsfEmail.MatchString(string(id.Email)) {
		u.Email = string(id.Email)
	}
	if u.UID == "" && u.Name == "" {
		u.Name = "unknown"
	}
	switch id.Kind {
	case "workload", "agent":
		u.Type = 4 // service
	}
	for _, g := range id.Groups {
		if g == "" {
			continue
		}
		u.Groups = append(u.Groups, ocsfNamed{Name: string(g)})
	}
	return u
}

func (o *ocsfEvent) what(e *audit.Event) {
	a, proto := e.Action, ""
	if e.Target != nil {
		proto = string(e.Target.Protocol)
	}
	switch e.Kind {
	case audit.SessionOpened, audit.SessionClosed, audit.LoginRefused:
		o.Class, o.Activity, o.User = ocsfLogin, 1, o.Actor.User // Logon
		if e.Kind == audit.SessionClosed {
			o.Activity = 2 // Logoff
		}
		o.Session = o.Actor.Session
		return
	case audit.ApprovalRequested:
		o.Class, o.Activity, o.Entity = ocsfEntity, 1, &ocsfNamed{Name: "approval request"} // Create
	case audit.JournalRead:
		o.Class, o.Activity, o.Entity = ocsfEntity, 2, &ocsfNamed{Name: "journal"} // Read
	case audit.CommandDecided, audit.CommandCompleted, audit.CommandUnknown:
		o.operation(proto, a)
	default:
		o.Class, o.Activity, o.Entity = ocsfEntity, 3, &ocsfNamed{Name: "journal"} // Update
	}
	if e.Journal != nil {
		o.Message = string(e.Journal.What)
	}
	if a == nil {
		return
	}
	o.Risk = a.Risk
	if len(a.RiskWhy) > 0 {
		o.Unmapped["risk_why"] = a.RiskWhy
	}
	o.Unmapped["verb"], o.Unmapped["access"] = a.Verb, a.Access
	for _, obj := range a.Objects {
		o.Resources = append(o.Resources, ocsfResource{cmp.Or(string(obj.Name), "unknown"), string(obj.Kind)})
	}
}

func (o *ocsfEvent) operation(proto string, a *audit.Action) {
	verb := ""
	if a != nil {
		verb = strings.ToLower(string(a.Verb))
	}
	word, _, _ := strings.Cut(verb, " ")
	o.Activity = ocsfOther
	switch proto {
	case "postgres", "mysql":
		o.Class = ocsfDatastore
		o.Database = &ocsfNamed{Name: o.Target.Name, Type: 1} // relational
		o.Activity = ocsfActivity(a, map[string]int{"read": 1, "write": 2, "schema": 6}, ocsfOther)
		switch word {
		case "connect":
			o.Activity = 3
		case "delete", "drop", "truncate":
			o.Activity = 7
		}
		if a != nil && (a.Text != nil || a.Fingerprint != "") {
			q := &ocsfQuery{Name: cmp.Or(verb, "unknown"), UID: string(a.Fingerprint)}
			if a.Text != nil {
				q.Text, q.Bytes = string(a.Text.Text), int64(len(a.Text.Text)+a.Text.Len)
			}
			o.Query = q
		}
	case "http":
		o.Class = ocsfHTTP
		o.Activity = map[string]int{"connect": 1, "delete": 2, "get": 3, "head": 4, "options": 5, "post": 6, "put": 7, "trace": 8, "patch": 9}[verb]
		if o.Activity == 0 {
			o.Activity = ocsfOther
		}
		o.Request = &ocsfRequest{Method: strings.ToUpper(verb), Agent: o.Actor.App}
	case "ssh":
		o.Class = ocsfSSH
		if verb == "connect" {
			o.Activity = 1 // Open
		}
	default:
		o.Class = ocsfAPI
		o.Activity = ocsfActivity(a, map[string]int{"read": 2, "write": 3, "schema": 1}, ocsfOther)
		o.API = &ocsfAPICall{Operation: verb, Service: ocsfNamed{Name: cmp.Or(proto, "unknown")}}
	}
	if o.Activity == ocsfOther {
		o.ActivityName = verb
	}
}

// ocsfActivity returns the number of the strongest class of access that has one.
func ocsfActivity(a *audit.Action, numbers map[string]int, other int) int {
	if a == nil {
		return other
	}
	for _, class := range []string{"schema", "write", "read"} {
		if slices.Contains(a.Access, class) && numbers[class] > 0 {
			return numbers[class]
		}
	}
	return other
}

func (o *ocsfEvent) outcome(e *audit.Event) {
	if d := e.Decision; d != nil {
		switch d.Effect {
		case "allow":
			o.Action, o.Disposition, o.Status = 1, 1, 1 // allowed
		case "deny":
			o.Action, o.Disposition, o.Status = 2, 2, 2 // denied, blocked
		default:
			o.Action = ocsfOther
		}
		auth := ocsfAuthorize{Decision: d.Effect}
		if name := strings.TrimSpace(string(d.By + " " + d.Rule)); name != "" {
			auth.Policy = &ocsfNamed{Name: name}
		}
		o.Actor.Authorizations = append(o.Actor.Authorizations, auth)
		o.StatusDetail = string(d.Reason)
		if d.Ticket != "" {
			o.Unmapped["ticket"] = d.Ticket
		}
		if d.Policy != "" {
			o.Unmapped["policy_digest"] = d.Policy
		}
		if e.Action != nil && len(e.Action.Lifts) > 0 {
			o.Unmapped["lifts"] = e.Action.Lifts
		}
		if len(d.Grants) > 0 {
			o.Unmapped["grants"] = d.Grants
		}
	}
	if e.Kind == audit.LoginRefused {
		o.Action, o.Disposition, o.Status = 2, 2, 2
	}
	if r := e.Result; r != nil {
		o.Duration = r.Duration / 1000
		o.StatusCode = string(r.Code)
		switch r.Status {
		case "ok":
			o.Status = 1
		case "unknown":
			o.Status = 0
		default:
			o.Status, o.StatusDetail = 2, r.Status
		}
		if r.Rows > 0 {
			o.Unmapped["rows"] = r.Rows
		}
		if len(r.Masked) > 0 {
			o.Unmapped["masked"] = r.Masked
		}
	}
	if e.Error != "" {
		o.StatusDetail = string(e.Error)
	}
}

// ocsfSeverity: informational, low, medium, high, critical.
func ocsfSeverity(e *audit.Event) int { return 1 + min(4, importance(e)*4/10) }

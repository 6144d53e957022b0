package httpproxy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const petstore = `{"openapi":"3.1.0","servers":[{"url":"https://example.com/v1/"},{"url":"/v2"}],"paths":{
	"/pets":{"get":{"operationId":"listPets"},"post":{},"summary":"pets","parameters":[]},
	"/pets/{id}":{"parameters":[],"get":{"operationId":"getPet"},"delete":{"operationId":"deletePet"}},
	"/pets/mine":{"get":{"operationId":"getMine"}},
	"/{kind}/{id}/photo":{"get":{"operationId":"photo"}},
	"/dir/":{"get":{"operationId":"dir"}},
	"/":{"get":{"operationId":"root"}}}}`

func TestRoutes(t *testing.T) {
	rs, err := parseRoutes([]byte(petstore))
	require.NoError(t, err)
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/v1/pets", "listPets"}, {"GET", "/v2/pets", "listPets"}, {"GET", "/pets", ""}, {"GET", "/v3/pets", ""},
		{"HEAD", "/v1/pets", "listPets"}, {"POST", "/v1/pets", "POST /pets"}, {"PUT", "/v1/pets", ""},
		{"GET", "/v1/pets/7", "getPet"}, {"GET", "/v1/pets/mine", "getMine"}, {"DELETE", "/v1/pets/mine", "deletePet"},
		{"GET", "/v1/pets/", ""}, {"GET", "/v1/pets/7/", ""}, {"GET", "/v1/pets/7/photo", "photo"}, {"GET", "/v1//7/photo", ""},
		{"GET", "/v1/dir/", "dir"}, {"GET", "/v1/dir", ""}, {"GET", "/v1/dir/x", ""}, {"GET", "/v1/", "root"}, {"get", "/v1/pets", ""},
	} {
		got := ""
		if r := rs.find(c.method, c.path); r != nil {
			got = r.name
		}
		require.Equal(t, c.want, got, "%s %s", c.method, c.path)
	}
	require.Nil(t, routes(nil).find("GET", "/"))
	for _, bad := range []string{"", "{}", `{"openapi":"2.0","paths":{"/":{}}}`, `{"openapi":"3.0.0","paths":{"a":{"get":{}}}}`,
		`{"openapi":"3.0.0","paths":{"/a{b}":{"get":{}}}}`, `{"openapi":"3.0.0","paths":{"/a":{"get":[]}}}`,
		`{"openapi":"3.0.0","servers":[{"url":"https://{x}/"},{"url":"v{n}"}],"paths":{"/a":{"get":{}}}}`} {
		_, err := parseRoutes([]byte(bad))
		require.Error(t, err, bad)
	}
}

func FuzzRoutes(f *testing.F) {
	f.Add([]byte(petstore), "/v1/pets/7")
	f.Fuzz(func(t *testing.T, doc []byte, path string) {
		if rs, err := parseRoutes(doc); err == nil {
			for m := range rs {
				rs.find(m, path)
			}
		}
	})
}

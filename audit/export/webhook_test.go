package export

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// The signature is that of Standard Webhooks, by the example that its libraries
// are tested with.
func TestStandardWebhooksSignature(t *testing.T) {
	body := []byte(`{"test": 2432232314}`)
	const want = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	got := signature(protocol.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
	require.Equal(t, want, base64.StdEncoding.EncodeToString(got))
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, got, signature(protocol.NewSecret(string(key)), "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body))
}

// Events have the form of CloudEvents 1.0: its JSON event format and its rules for
// attributes.
func TestCloudEvents(t *testing.T) {
	body, err := (&Webhook{}).body("01a22d5e-ef55", golden())
	require.NoError(t, err)
	var batch []map[string]any
	require.NoError(t, json.Unmarshal(body, &batch))
	require.Len(t, batch, len(golden()))
	ids := map[string]bool{}
	for _, e := range batch {
		for name, v := range e {
			require.Regexp(t, regexp.MustCompile(`^[a-z0-9]{1,20}$`), name, "names of attributes are lower case letters and digits")
			require.NotNil(t, v)
			if name != "data" {
				require.NotEmpty(t, v)
			}
		}
		require.Equal(t, "1.0", e["specversion"])
		require.Equal(t, "application/json", e["datacontenttype"])
		require.IsType(t, map[string]any{}, e["data"], "data of JSON stands as JSON")
		u, err := url.Parse(e["source"].(string))
		require.NoError(t, err)
		require.Equal(t, "urn", u.Scheme)
		_, err = time.Parse(time.RFC3339Nano, e["time"].(string))
		require.NoError(t, err)
		key := e["source"].(string) + " " + e["id"].(string)
		require.False(t, ids[key], "source and id are unique together")
		ids[key] = true
		require.Regexp(t, `^dev\.sallyport\.audit\.[a-z.-]+\.v1$`, e["type"])
	}
}

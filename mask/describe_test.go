package mask_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
)

// What a transform does can be said, without its key.
func TestDescribe(t *testing.T) {
	key, err := mask.NewKey([]byte("0123456789abcdef-secret"))
	require.NoError(t, err)
	for want, tr := range map[string]mask.Transform{
		"null": mask.Null(), "redact": mask.Redact(), "default": mask.Default(), "show": mask.Show(), "email": mask.Email(), "url": mask.URL(),
		"shape": mask.Shape(), "card": mask.Card(false), "card(issuer)": mask.Card(true), `fixed("x")`: mask.Fixed("x"),
		"partial(first 0, last 4)": mask.KeepLast(4), "ends(first 1, last 2)": mask.Ends{First: 1, Last: 2}, "round(10)": mask.Round(10),
		"truncate(month)": mask.Truncate(mask.Month), "network(/24, /64)": mask.Network(24, 64), "hash(domain d)": mask.Hash(key, "d"),
		"pseudonym(email, domain d)": mask.Pseudonym(key, "d", mask.EmailLike), "ff1(10 characters)": mask.FF1(key, "", mask.Decimal), "bucket(of 3)": mask.Bucket(key, "", 3), "noise(up to 5)": mask.Noise(key, "", 5),
		"elements(email)": mask.Elements(mask.Email()), "found(email: redact)": mask.Found(mask.Redact(), "email"),
		"record(1: null, 2: redact)": mask.Record(map[int]mask.Transform{2: mask.Redact(), 1: mask.Null()}), `replace("a+" with "b")`: mask.Replace("a+", "b"),
		"nothing": nil, "mask_test.odd": odd{},
	} {
		require.Equal(t, want, mask.Describe(tr))
		require.NotContains(t, fmt.Sprintf("%v %+v %s", tr, tr, tr), "0123456789abcdef")
	}
}

type odd struct{}

func (odd) Bind(mask.Type) (mask.Func, error) { return nil, nil }

package mask_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/mask/detect"
)

func TestTexts(t *testing.T) {
	s, err := mask.Compile(
		mask.Rule{Name: "mail", Detect: []string{"email"}, Transform: mask.Email()},
		mask.Rule{Name: "card", Detect: []string{"card"}, Transform: mask.KeepLast(4)},
		mask.Rule{Name: "staff", Custom: []detect.Custom{{Kind: "staff", Pattern: `EMP-\d{6}`, Near: []string{"EMP-"}}}, Transform: mask.Fixed("[staff]")},
		mask.Rule{Name: "gone", Detect: []string{"id.us.*"}, Transform: mask.Null()},
		mask.Rule{Name: "all", Detect: []string{"*"}, Transform: mask.Redact()}, // email is the first rule's
	)
	require.NoError(t, err)
	require.True(t, s.HasDetectors())
	var rules []string
	texts := s.Texts(func(rule, _ string) { rules = append(rules, rule) })
	got := texts.Mask(nil, []byte("ada@example.com 4111111111111111 EMP-004711 536-90-4399 password=hunter2."), detect.Field{})
	require.Equal(t, "***@example.com ************1111 [staff] *** password=***.", string(got))
	require.Equal(t, []string{"mail", "card", "staff", "gone", "all"}, rules)
	require.Nil(t, texts.Mask(nil, []byte("nothing of interest"), detect.Field{}))
	require.Equal(t, "***", string(texts.Mask(nil, []byte("536904399"), texts.Field("ssn"))))

	none, err := mask.Compile(rule("a", "a.b.c"))
	require.NoError(t, err)
	require.False(t, none.HasDetectors())
	require.Nil(t, none.Texts(nil).Mask(nil, []byte("ada@example.com"), none.Texts(nil).Field("x")))
	require.Equal(t, "ada@example.com", stream(none, "ada@example.com"))

	_, err = mask.Compile(mask.Rule{Name: "r", Detect: []string{"emial"}, Transform: mask.Redact()})
	require.ErrorContains(t, err, `there is no kind "emial"`)
}

func TestTextsDoNotAllocate(t *testing.T) {
	texts := detecting(t, mask.Redact(), "*").Texts(nil)
	buf := make([]byte, 0, 128)
	for _, in := range []string{"The quick brown fox jumps over the lazy dog again.", "write to ada@example.com please"} {
		in := []byte(in)
		texts.Mask(buf, in, detect.Field{})
		require.Zero(t, testing.AllocsPerRun(100, func() { texts.Mask(buf, in, detect.Field{}) }))
	}
}

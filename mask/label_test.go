package mask_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
)

func ExampleLabels() {
	labels := mask.Labels{"pii.email": {"public.customers.email"}, "pii.name": {"*.*.name"}, "internal": {"public.orders.margin"}}
	columns, err := labels.Columns("pii.*")
	fmt.Println(columns, err)
	// Output: [public.customers.email *.*.name] <nil>
}

func ExampleShow() {
	set, err := mask.Compile(
		mask.Rule{Name: "public", Columns: []string{"public.staff.office"}, Transform: mask.Show()},
		mask.Rule{Name: "staff", Columns: []string{"public.staff.*"}, Transform: mask.Redact()},
	)
	fmt.Println(set.Match("public", "staff", "office") == nil, set.Match("public", "staff", "salary").Name, set.Match("public", "staff", "*").Name, err)
	// Output: true staff staff <nil>
}

func TestLabels(t *testing.T) {
	labels := mask.Labels{"a": {"x.y.z"}}
	for _, bad := range []string{"b", "b*", ""} {
		_, err := labels.Columns(bad)
		require.ErrorContains(t, err, "no column has the label")
	}
	none, err := labels.Columns()
	require.NoError(t, err)
	require.Empty(t, none)
}

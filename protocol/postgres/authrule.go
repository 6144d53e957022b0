package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// An authRule says how the gateway is willing to log in at a target. Its two
// parts are libpq's require_auth and channel_binding.
type authRule struct {
	methods []string // those allowed, or with not those refused; none: all are allowed
	not     bool
	binding string // one of bindings
}

// The names of the methods as in require_auth, by request code. "none" is a
// target that asks for nothing, or for a certificate only.
var authMethods = map[uint32]string{authOK: "none", authCleartext: "password", authMD5: "md5", authSASL: "scram-sha-256"}

var bindings = []string{"prefer", "require", "disable"}

// authRuleOf reads a target's options.
func authRuleOf(r protocol.Resource) (rule authRule, err error) {
	rule.binding = cmp.Or(r.Options[optBinding], bindings[0])
	if !slices.Contains(bindings, rule.binding) {
		return rule, fmt.Errorf("option channel_binding: %q is none of %s", rule.binding, strings.Join(bindings, ", "))
	}
	v, given := r.Options[optRequireAuth]
	if !given {
		return rule, nil
	}
	for i, m := range strings.Split(v, ",") {
		m, not := strings.CutPrefix(strings.TrimSpace(m), "!")
		switch {
		case !slices.Contains([]string{"scram-sha-256", "md5", "password", "none"}, m):
			return rule, fmt.Errorf("option require_auth: %q is none of scram-sha-256, md5, password, none", m)
		case i > 0 && not != rule.not:
			return rule, errors.New("option require_auth: either all methods have a ! or none has")
		}
		rule.methods, rule.not = append(rule.methods, m), not
	}
	return rule, nil
}

// ask returns an error if the target may not ask in this way. Nothing has been
// answered yet.
func (r authRule) ask(kind uint32) error {
	method := authMethods[kind]
	if len(r.methods) > 0 && slices.Contains(r.methods, method) == r.not {
		return fmt.Errorf("the target asks for the method %s, which its option require_auth refuses", method)
	}
	if r.binding == "require" && kind != authSASL {
		return fmt.Errorf("the target asks for the method %s, which has no channel binding, and its option channel_binding requires it", method)
	}
	return nil
}

// end returns an error if the target may not let the gateway in after what has
// been asked and answered.
func (r authRule) end(asked bool, scram *scramClient) error {
	if !asked {
		return r.ask(authOK)
	}
	if r.binding == "require" && (scram == nil || scram.binding == nil) {
		return errors.New("the login has no channel binding")
	}
	return nil
}

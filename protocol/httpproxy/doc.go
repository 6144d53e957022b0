// Package httpproxy is the HTTP connector.
package httpproxy

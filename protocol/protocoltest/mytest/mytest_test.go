package mytest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/mytest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

func TestStart(t *testing.T) {
	m := mytest.Start(t, servers.MariaDBConfig{TLS: true, SQL: []string{"CREATE DATABASE shop", "CREATE TABLE shop.t (a INT)", "INSERT INTO shop.t VALUES (7)"}})
	require.Equal(t, "7", mytest.Exec(t, m, "SELECT a FROM shop.t"))
	require.Equal(t, "YES", mytest.Exec(t, m, "SELECT @@have_ssl"))
}

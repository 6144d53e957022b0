// Package serve is what connectors do alike whatever protocol they speak: the
// limits of a server, the frame of a session, and what looks after a client
// while it has to wait.
package serve

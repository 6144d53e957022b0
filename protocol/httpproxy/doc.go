// Package httpproxy is the HTTP connector: a [Server] for the programs that
// people use with HTTP services, over HTTP/1.1 and HTTP/2, built on net/http and
// its ReverseProxy. Register it with the protocol name "http".
//
// # Which target a client means
//
// One rule: the target that [Server].Hosts gives the request's host name; else,
// if Domain is set and the host is one label below it, that label; else, if
// Paths is set, the first segment of the path, which the target does not see.
// What is named so is looked up in the gateway's list of targets: no request can
// make the gateway connect to anything else.
//
//	curl -H "Authorization: Bearer $TOKEN" https://orders.app.example.com/v1/items     (Domain "app.example.com")
//	curl -H "Authorization: Bearer $TOKEN" https://gateway.example.com/orders/v1/items (Paths)
//
// Targets that browsers use get host names of their own: below one host name
// the pages of one target can act on another.
//
// # Who asks
//
// Each request says who sends it: with a bearer token, a token in the place of a
// basic password, else with the gateway's cookie of a browser that has logged in,
// else with the client certificate of its connection. An Authorization header
// that is there and not good is refused, whatever else is.
//
// With [Server].Login, a browser that asks for a page without any of these is
// sent to log in, and comes back to that page. Register
// https://<host>/.sallyport/callback of each host at the issuer. The cookie has
// the issuer's token in it, encrypted, for this host only; it is looked at again
// for each connection, and ends with the token. A POST to /.sallyport/logout makes
// the browser forget it. What a browser sends by itself, a cookie, a basic
// password or a certificate, changes nothing for a page of another origin.
//
// A session is one identity at one target on one connection. HTTP connections
// carry many people's requests in turn (proxies before the gateway, browsers), so
// it cannot be the connection alone; and a proof that was good for one
// connection is not good for the next without being looked at again. Within a
// session an equal proof is not asked about again until the session ends, with
// its identity's expiry, a reload that no longer allows it, or its connection.
// Connections to the target belong to one session: nobody's response can be
// taken for somebody else's. A connection whose last session the gateway ends is
// closed.
//
// # What goes to the target
//
// The request is made anew. Never passed on: the client's Authorization and the
// gateway's cookies; hop-by-hop headers; headers in which targets are used to
// read who somebody is or where a request came from (X-Forwarded-*, X-Remote-*,
// X-Auth-*, Remote-User, Client-Cert and their like); header names with an
// underscore; upgrades to anything but WebSocket. X-Forwarded-For, -Host and
// -Proto, Via, the target's credentials and, if asked for, the identity are the
// gateway's own word. Via, which RFC 9110 asks for, makes nginx compress only what its
// gzip_proxied lets it.
//
// # Options of a target
//
//	tls          verify, disable; the default is verify, over a Unix socket disable
//	ca           file with the certificates that may have signed the target's
//	cert, key    files with the gateway's own certificate and key
//	server_name  the name in the target's certificate, if it is not that of host
//	host         the host name that the target is asked for; the default is its address
//	auth         how the secret is sent: bearer (the default), basic, header, query, none
//	auth_name    the header's or the parameter's name
//	user_header  a header that tells the target the identity's subject
//	assertion    enable: the target gets a signed [Assertion] about the identity
//	http2        enable: the target speaks HTTP/2, also without TLS
//	safe_methods pure: the operator vouches that GET, HEAD and OPTIONS change nothing; the default is change
//	openapi      file with the target's OpenAPI document, version 3 in JSON
//	undescribed  refuse: what openapi does not describe is; the default is allow
//	descriptors  file with the Protocol Buffers definitions of the target's gRPC
//	             services: what protoc writes with --include_imports and
//	             --descriptor_set_out
//	request_trailers enable: trailers of requests pass, but for those that read
//	             as a header that decides something; the default is disable
//	encoded_slashes  how the target reads %2F in a path: keep, it is no slash, as
//	             at GitLab; slash, it is one; the default is refuse
//	semicolons   how it reads ; in a path: keep, it is a character like others;
//	             parameters, a segment ends there, as for servlets; refuse
//
// If the target answers 401 to credentials of the gateway, the client is told so
// in a 502, without the target's text.
//
// # What is an operation
//
// Each request. Its text is the request line without the version, as it was
// sent; its verb is the method in lower case, or "websocket"; GET, HEAD and
// OPTIONS read, POST, PUT, PATCH and DELETE write, and other methods are opaque.
// Its objects are the path, decoded, as the target's options say that it reads it
// (a slash or a semicolon that it keeps encoded is %2F and %3B), and, as far as
// an OpenAPI document of the target describes it, the route, by its operationId.
// A body of announced length, up to [Server].MaxBody, is its argument and part of
// what an approver sees; larger and streamed bodies are not, and what would be
// held is then refused.
//
// What a target does on GET is not proven, so each request is durable in the
// journal before it is sent. Of a target whose option safe_methods is pure, GET,
// HEAD and OPTIONS without a body are pure reads, on the operator's word: their
// record has to be in the kernel before the first byte of the response is
// released, and may be lost with the machine, but not with the gateway. Do not say so
// of services that act on a GET, as many with links for logging out, unsubscribing
// or confirming do.
//
// A refusal is 403, as text, JSON (RFC 9457), a page or a gRPC status, by what
// the client reads. What cannot be recorded, since the journal's disk is full or does
// not answer, is 503 with Retry-After; but what the target has done already and can
// change something is 500, because it must not be repeated unseen.
//
// # Waiting for a decision
//
// The response is held, for [Server].HoldTimeout at most; a client that leaves
// withdraws its request. Browsers, and who sends "Prefer: respond-async" or
// "Prefer: wait=5" (RFC 7240), hear earlier. The answer then is 202, with
// Retry-After, and a Location where the same identity gets the response with a
// GET, from any connection. What runs is the request as it was held, once, when
// somebody comes for the answer. Who does not ask for a minute has withdrawn.
//
// # Bodies and steps
//
// Steps with taps on documents see JSON bodies whole, NDJSON line by line and
// server-sent events one by one: their data is a document of kind application/json
// if it is that, else text/event-stream. With other media types they see that there
// is one. The target is then asked for whole, uncompressed documents (no Range, no
// conditions); gzip, deflate, br and zstd are unpacked all the same, within bounds:
// what a document may hold, and for zstd the window of 8 MiB that RFC 9659 lets it
// have. What speaks of the body as it was (ETag, digests, Last-Modified,
// Content-Length, ranges, trailers) is taken out or made right, and what was masked
// is not to be cached. What cannot be shown to a step that wants it is not shown at
// all: a document that is too large, not UTF-8, or compressed in another way.
//
// Taps on bytes see the streams "request" and "response" with their media types.
// Where a step looks at documents and leaves a text to its tap on bytes, as the step
// mask does where it only detects, the text has to be UTF-8, and the client is told
// so. Such a text is as long as it likes: a line is shown when its end has come, or
// 16 KiB of it. Of a response whose length is not announced, taps hear when nothing has
// come for 30 ms: a mask then shows of the line what can be told, but not its last word,
// nor words with digits before it, in which a value may begin that is not yet whole; with
// patterns of one's own it keeps back 4 KiB.
//
// The messages of gRPC and gRPC-Web that come back are documents of kind
// application/json too, where the option descriptors names their types, or they are
// JSON. Members have the names that stand in the .proto file, numbers are numbers
// whatever their size, bytes are a text if they are one, an enum's value is its name,
// and a google.protobuf.Any has the message in it as value. A value that is not what
// its field can be, such as *** for an enum, is left out. A message with something
// that the descriptors do not describe is refused, as is one of more than 262,144
// values, which a packed list of numbers has soonest. What was compressed comes back
// uncompressed. Of the trailers the status is left, and its message as a text that a
// step may refuse; what is refused within a stream ends it with status 7
// (PERMISSION_DENIED). Without descriptors, steps see that there is something of the
// kind application/grpc.
//
// The messages of a WebSocket are looked at when all of one is there, within
// MaxDocument: taps on documents see what the target sends, a text as
// application/json if it is, else as text/plain, and other messages as
// application/octet-stream; taps on bytes see each message as a stream of its own,
// both ways. Compression is not negotiated then, pings of the target are answered
// by the gateway, and its reason for closing is left out. What is refused ends the
// WebSocket with 1008, and what RFC 6455 does not allow with the status that it has for
// that, whichever side sent it: the client is told, and the target's connection closed.
// Without taps its bytes are copied.
//
// # What is refused
//
// A request that two servers could read differently, with 400 and the end of the
// connection: Content-Length beside Transfer-Encoding, twice, or not a plain
// number; a Transfer-Encoding other than chunked; chunk extensions and odd chunk
// sizes; folded headers; lines that do not end in CRLF; no Host, two, or one that
// is no host name; a target that is not a path; paths with ".", ".." or empty
// segments, backslashes, control characters or bad escapes, also when decoded
// again; encoded slashes and semicolons, unless the target's options say how it
// reads them, and what is encoded twice always; headers that ask for another method or path; CONNECT and
// TRACE. A host other than the one that TLS was asked for is 421.
//
// # Limits
//
// A GET, HEAD or OPTIONS is sent once more if the target ends a connection that
// was used before without an answer, as RFC 9110 lets a proxy do; nothing else is.
// Headers are not masked, neither way: a target that puts data into headers, or
// into the names of JSON members or the names and ids of events, shows it. The secret of a target that echoes
// its request's headers, or in a body its query, can be seen by its users: give such a
// target none. The journal has bodies as far as they are arguments; the step recordings keeps them,
// and the messages of WebSockets, by verb and media type. HTML and text are not
// masked by fields: a mask that has fields refuses them, unless it lets
// their kind pass. Fields are known by the names that the response has for them: a
// client of GraphQL chooses those (an alias), so let it send queries that are stored
// at the target only, or mask what detectors find.
//
// Scripts of other origins come with bearer tokens only, and are not preflighted
// (CORS). HTTP/3 is not spoken, nor WebSockets over HTTP/2 (RFC 8441). gRPC passes
// as HTTP/2 with trailers if the target's option http2 is set; gRPC-Web in base64 and
// the protocol of Connect are bodies that nobody looks into. What is spread over
// several documents, as a word over the events of a stream, is not found by
// detectors. A request body that is streamed has no deadline of its
// own. An OpenAPI document serves to name routes; parameters and bodies are not
// held to it. Method overrides in bodies and parameters, which some frameworks
// know, are not seen: switch them off at the target. A target that reads %2F or ;
// in another way than its options say is asked for other things than rules see.
package httpproxy

/* A small HTTP/1.1 peer on a loopback port, for tests of what this node sends: a thread for each
 * connection, a function for all requests, with or without TLS; and an authority that signs
 * certificates for it. */
#pragma once

#include <gio/gio.h>

typedef struct {
  char *method;
  char *target;
  char *head; /* all header lines */
  GBytes *body;
  guint connection; /* counts from 1 */
} PeerRequest;

/* Writes the answer; FALSE closes the connection. */
typedef gboolean (*PeerFunc) (const PeerRequest *request, GOutputStream *out, gpointer data);

/* (transfer full) the value of a header, NULL when absent. */
char *peer_request_header (const PeerRequest *request, const char *name);
/* Writes an answer; @headers: further lines, each with CRLF, nullable. Returns TRUE. */
gboolean peer_reply (GOutputStream *out, unsigned status, const char *headers, const char *body);

typedef struct _Authority Authority;
Authority *authority_new (void);
void authority_free (Authority *authority);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Authority, authority_free)
/* The file of its certificate: CA:TRUE and no key usage. */
const char *authority_file (Authority *authority);
/* @names as in "DNS:a.test,IP:127.0.0.1"; @days negative: expired. */
GTlsCertificate *authority_sign (Authority *authority, const char *names, int days);

typedef struct _Peer Peer;
/* @certificate NULL: plain HTTP. @func NULL: accepts and never says a word. */
Peer *peer_new (GTlsCertificate *certificate, PeerFunc func, gpointer data);
/* At an address and port of choice; port 0: any. */
Peer *peer_new_at (const char *address, guint16 port, GTlsCertificate *certificate, PeerFunc func,
                   gpointer data);
void peer_free (Peer *peer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Peer, peer_free)
guint16 peer_port (Peer *peer);
/* How many connections were accepted, and how many are open. */
guint peer_accepted (Peer *peer);
guint peer_open (Peer *peer);

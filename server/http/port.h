/* A listener as it runs: what its calls need to know of it. Immutable once it listens. */
#pragma once

#include "server/http/budget.h"
#include "server/http/http-server.h"

G_BEGIN_DECLS

typedef struct _CmPort CmPort;

struct _CmPort {
  CmHttpServer *server;
  CmNode *node;
  CmHeadFunc head;
  CmCallFunc whole;
  gpointer data;
  char *name;
  guint16 number;
  CmServe serve;
  const GPtrArray *trusted; /* of GInetAddressMask, the server's; nullable */
  gint64 head_us, idle_us;
  CmBudget *bodies;  /* the server's, for all large bodies under way */
  CmBudget *answers; /* likewise */
  gsize answers_of_one;
  gint *connections; /* atomic, the server's: of all its listeners */
  gint max_connections;
  CmBudget *places; /* the server's: connections, but for those of trusted proxies */
};

struct sockaddr;

/* The address of a peer as text; IPv4 ones as such even on a socket for both. */
char *cm_port_peer (const struct sockaddr *address);
gboolean cm_port_trusts (const CmPort *port, const char *address);
/* The address of the client, given that of the peer, a trusted proxy, and the X-Forwarded-For it
 * sent. */
char *cm_port_client (const CmPort *port, const char *peer, GPtrArray *forwarded);

G_END_DECLS

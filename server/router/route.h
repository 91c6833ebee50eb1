/* A route is a row of data; each API file ends in its own const table of them. */
#pragma once

#include "server/http/call.h"

G_BEGIN_DECLS

/* Who may call, decided before the handler runs. */
typedef enum {
  CM_AUTH_NONE,
  CM_AUTH_TOKEN,          /* a user's access token (not a guest's) or an application service's */
  CM_AUTH_TOKEN_GUEST,    /* guests too */
  CM_AUTH_TOKEN_OPTIONAL, /* anonymous too */
  CM_AUTH_TOKEN_LOCKED,   /* locked and suspended accounts too (logout) */
  CM_AUTH_APPSERVICE,
  CM_AUTH_ADMIN,
  CM_AUTH_FEDERATION, /* X-Matrix */
} CmAuth;

/* Rate limits by class; the figures are keys of [limits]. */
typedef enum {
  CM_LIMIT_NONE,
  CM_LIMIT_LOGIN,
  CM_LIMIT_REGISTER,
  CM_LIMIT_SEND,
  CM_LIMIT_JOIN,
  CM_LIMIT_INVITE,
  CM_LIMIT_READ,
  CM_LIMIT_HEAVY, /* search, directories, key claims, previews, thumbnails */
  CM_LIMIT_MEDIA,
  CM_LIMIT_REMOTE_MEDIA, /* charged by the megabyte that is fetched, and no class of a route */
  CM_LIMIT_FEDERATION,
  CM_LIMIT_LAST
} CmLimitClass;

/* Where the handler runs. */
typedef enum {
  CM_LANE_EDGE, /* on the loop itself: memory only, no blocking at all */
  CM_LANE_CLIENT,
  CM_LANE_FEDERATION,
  CM_LANE_INBOX, /* transactions: the keys of yet other servers may have to be fetched for them */
  CM_LANE_BACKGROUND,
  CM_LANE_BLOCKING,  /* directories, password hashing, image work */
  CM_LANE_REMOTE,    /* calls of other servers on a client's behalf: fair, see lanes.h */
  CM_LANE_STRANGERS, /* what servers ask whose key must be fetched first: fair by address */
  CM_LANE_LAST
} CmLane;

typedef enum {
  CM_BODY_NONE,          /* a body is read (up to 64 KiB) and ignored */
  CM_BODY_JSON,          /* must be a JSON object */
  CM_BODY_JSON_OPTIONAL, /* an empty body counts as {} (joins, logout) */
  CM_BODY_RAW,           /* handed over as bytes (media) */
} CmBody;

/* Returns the answer (transfer full), CM_REPLY_LATER, or NULL with @error set. */
typedef CmReply *(*CmHandler) (CmCall *call, GError **error);

typedef struct {
  const char *method;
  const char *path; /* "/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}"; v3 is served as
                       r0 too */
  CmAuth auth;
  CmLimitClass limit;
  CmLane lane;
  CmBody body;
  CmHandler handler;
  gsize max_body; /* bytes; 0: the default of CM_BODY_* (1 MiB for client JSON, 64 KiB
                     unauthenticated, 16 MiB federation) */
} CmRoute;

/* The row that @call was matched with. */
const CmRoute *cm_call_route (const CmCall *call);

/* A table ends with a row of NULLs. */
#define CM_ROUTES_END                                                                              \
  {                                                                                                \
    NULL, NULL, 0, 0, 0, 0, NULL, 0                                                                \
  }

G_END_DECLS

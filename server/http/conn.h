/* One connection and the request that is on it. Everything here belongs to the loop's thread. */
#pragma once

#include "server/http/loop.h"

#include <microhttpd.h>

G_BEGIN_DECLS

typedef enum {
  CONN_IDLE,    /* between requests */
  CONN_HEAD,    /* the request line is there */
  CONN_BODY,    /* the head is accepted (or its refusal waits for the end of a small body) */
  CONN_HANDED,  /* the call is with the router or a handler */
  CONN_REFUSED, /* answered before the end: what still comes is thrown away, then the connection
                   closes */
} CmConnState;

struct _CmConn {
  CmConn *next, **link;
  CmDaemon *daemon;
  struct MHD_Connection *mhd;
  int fd;
  char *address;
  gboolean trusted_proxy;
  CmCharge place;     /* among the server's connections */
  gint64 deadline_us; /* when the sweep ends it */
  gboolean hung_up;

  CmConnState state;
  CmCall *call;           /* a reference, NULL when idle */
  const char *raw_target; /* in the library's buffer, valid until the head is taken */
  CmReply *refusal;       /* instead of the call's own reply */
  gboolean close;         /* after the answer */
  gboolean held;          /* suspended */
  gboolean malformed;     /* the head was refused, so that the target may hold anything */
  gsize max_body;
  GByteArray *body;
  CmCharge charge;        /* for the body, until the call has it */
  CmCharge answer_charge; /* for the answer, until it is sent */
  gsize discarded;        /* since CONN_REFUSED */
};

/* A body, and an answer, may take a while more for every byte, but not slower than this. */
#define CM_CONN_US_PER_BYTE (G_TIME_SPAN_SECOND / 8192)

/* conn-reader.c: an answer is held as long as its client takes to read it. Returns @reply, or what
 * puts off who lets too many wait; one that is larger than a share takes all of it. */
CmReply *cm_conn_afford (CmConn *conn, CmReply *reply);
/* The time that a client has to read @reply, beside that for any. */
gint64 cm_conn_reading_us (const CmReply *reply);

/* Callbacks of the library; @daemon is a CmDaemon. */
enum MHD_Result cm_conn_accept (void *daemon, const struct sockaddr *address, socklen_t length);
void cm_conn_notify (void *daemon, struct MHD_Connection *mhd, void **context,
                     enum MHD_ConnectionNotificationCode code);
void *cm_conn_request_line (void *daemon, const char *target, struct MHD_Connection *mhd);
enum MHD_Result
cm_conn_request (void *daemon, struct MHD_Connection *mhd, const char *url, const char *method,
                 const char *version, const char *data, size_t *length, void **context);
void cm_conn_completed (void *daemon, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode code);

/* On the loop's thread: whether the connection of @call is suspended. */
gboolean cm_conn_holds (const CmCall *call);
/* @call was posted. */
void cm_conn_settle (CmCall *call);
/* The client hung up. */
void cm_conn_hang_up (CmConn *conn);
/* Ends the connection if its time is over. */
void cm_conn_sweep (CmConn *conn, gint64 now_us);
/* The loop closes: tells a held call that it is gone; with @now, ends it unanswered. */
void cm_conn_close (CmConn *conn, gboolean now);

G_END_DECLS

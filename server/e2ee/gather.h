/* A call whose answer needs several other servers: each is asked on a thread of its own, as far as
 * who calls may have threads, no lane is held meanwhile, and the answer goes out when all have
 * answered or failed. */
#pragma once

#include "server/http/call.h"

G_BEGIN_DECLS

typedef struct _CmGather CmGather;

/* Asks @server with what is left of the time, and adds to the answer between cm_gather_lock and
 * cm_gather_unlock. @request: the task's own. FALSE when not all could be had. */
typedef gboolean (*CmGatherAsk) (CmGather *gather, const char *server, gpointer request);

typedef struct {
  CmGatherAsk ask;
  void (*fail) (gpointer answer,
                const char *server);    /* tells that @server did not answer; locked */
  CmReply *(*finish) (gpointer answer); /* after the last one */
  GDestroyNotify free_answer;
  GDestroyNotify free_request;
} CmGatherKind;

/* @answer: (transfer full) what the tasks add to. */
CmGather *cm_gather_new (CmCall *call, const CmGatherKind *kind, gpointer answer, guint timeout_ms);
/* @request: (transfer full). */
void cm_gather_add (CmGather *gather, const char *server, gpointer request);
/* Starts the tasks; @gather is taken. Returns the reply, or CM_REPLY_LATER. */
CmReply *cm_gather_run (CmGather *gather);

CmNode *cm_gather_node (CmGather *gather);
gpointer cm_gather_answer (CmGather *gather);
/* Milliseconds; 0 when the time is over: do not ask then, but fail. */
guint cm_gather_left (CmGather *gather);
void cm_gather_lock (CmGather *gather);
void cm_gather_unlock (CmGather *gather);

G_END_DECLS

#include "server/e2ee/gather.h"

#include "server/config/config.h"
#include "server/e2ee/remote-keys.h"
#include "server/node.h"

typedef struct {
  CmGather *gather;
  char *server;
  gpointer request;
} Task;

struct _CmGather {
  CmCall *call;
  const CmGatherKind *kind;
  gpointer answer;
  gint64 deadline; /* monotonic */
  GMutex lock;
  GPtrArray *tasks;
  gint left; /* atomic: tasks that run */
};

CmGather *
cm_gather_new (CmCall *call, const CmGatherKind *kind, gpointer answer, guint timeout_ms)
{
  CmGather *gather = g_new0 (CmGather, 1);

  gather->call = cm_call_ref (call);
  gather->kind = kind;
  gather->answer = answer;
  gather->deadline = g_get_monotonic_time () + (gint64) timeout_ms * 1000;
  gather->tasks = g_ptr_array_new ();
  g_mutex_init (&gather->lock);
  return gather;
}

static CmReply *
finish (CmGather *gather)
{
  CmReply *reply = gather->kind->finish (gather->answer);

  gather->kind->free_answer (gather->answer);
  g_ptr_array_unref (gather->tasks);
  g_mutex_clear (&gather->lock);
  cm_call_unref (gather->call);
  g_free (gather);
  return reply;
}

void
cm_gather_add (CmGather *gather, const char *server, gpointer request)
{
  Task *task = g_new (Task, 1);

  *task = (Task){ gather, g_strdup (server), request };
  g_ptr_array_add (gather->tasks, task);
}

static void
run (gpointer data, gboolean may_ask)
{
  g_autofree Task *task = data;
  CmGather *gather = task->gather;

  if (!may_ask || !gather->kind->ask (gather, task->server, task->request)) {
    cm_gather_lock (gather);
    gather->kind->fail (gather->answer, task->server);
    cm_gather_unlock (gather);
  }
  gather->kind->free_request (task->request);
  g_free (task->server);
  if (g_atomic_int_dec_and_test (&gather->left)) {
    g_autoptr (CmCall) call = cm_call_ref (gather->call);
    cm_call_reply (call, finish (gather));
  }
}

CmReply *
cm_gather_run (CmGather *gather)
{
  guint n = gather->tasks->len;
  g_autoptr (GPtrArray) tasks = g_ptr_array_ref (gather->tasks);
  g_autoptr (CmCall) call = cm_call_ref (gather->call);
  CmRemoteKeys *keys = cm_call_node (call)->remote_keys;

  if (n == 0)
    return finish (gather);
  gather->left = (gint) n;
  /* The last one frees the gather, maybe before this loop sees its end. */
  for (guint i = 0; i < n; i++) {
    Task *task = tasks->pdata[i];
    cm_remote_keys_run (keys, cm_call_user (call), task->server, run, task);
  }
  return CM_REPLY_LATER;
}

CmNode *
cm_gather_node (CmGather *gather)
{
  return cm_call_node (gather->call);
}

gpointer
cm_gather_answer (CmGather *gather)
{
  return gather->answer;
}

guint
cm_gather_left (CmGather *gather)
{
  gint64 left = (gather->deadline - g_get_monotonic_time ()) / 1000;
  const CmNode *node = cm_gather_node (gather);

  /* Without federation nobody can be asked. */
  if (left <= 0 || !node->config->federation.enabled || cm_remote_keys_ending (node->remote_keys))
    return 0;
  return (guint) left;
}

void
cm_gather_lock (CmGather *gather)
{
  g_mutex_lock (&gather->lock);
}

void
cm_gather_unlock (CmGather *gather)
{
  g_mutex_unlock (&gather->lock);
}

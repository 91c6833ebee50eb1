#include "server/router/ask.h"

#include "server/http/call-private.h"
#include "server/node.h"
#include "server/router/router.h"

#include <string.h>

/* How often the asker looks whether it should let go. */
#define LOOK_US (G_USEC_PER_SEC / 5)

/* Shared by the asker and the call, which may outlive it. */
typedef struct {
  GMutex lock;
  GCond answered;
  gboolean done;
} Waiting;

static void
waiting_clear (gpointer data)
{
  Waiting *waiting = data;

  g_cond_clear (&waiting->answered);
  g_mutex_clear (&waiting->lock);
}

static void
waiting_unref (Waiting *waiting)
{
  g_atomic_rc_box_release_full (waiting, waiting_clear);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Waiting, waiting_unref)

static Waiting *
waiting_new (void)
{
  Waiting *waiting = g_atomic_rc_box_new0 (Waiting);

  g_mutex_init (&waiting->lock);
  g_cond_init (&waiting->answered);
  return waiting;
}

static void
call_answered (CmCall *call, gpointer data)
{
  g_autoptr (Waiting) waiting = data;

  g_mutex_lock (&waiting->lock);
  waiting->done = TRUE;
  g_cond_signal (&waiting->answered);
  g_mutex_unlock (&waiting->lock);
}

/* FALSE when the asker is to stop before there is an answer. */
static gboolean
wait_for_answer (Waiting *waiting, const gint *stopping)
{
  g_mutex_lock (&waiting->lock);
  while (!waiting->done && !(stopping != NULL && g_atomic_int_get (stopping)))
    g_cond_wait_until (&waiting->answered, &waiting->lock, g_get_monotonic_time () + LOOK_US);
  gboolean done = waiting->done;
  g_mutex_unlock (&waiting->lock);
  return done;
}

static CmRequester *
requester_of (const CmAsker *asker)
{
  CmRequester *requester = g_new0 (CmRequester, 1);

  requester->user_id = g_strdup (asker->user_id);
  requester->device_id = g_strdup (asker->device_id);
  requester->user = asker->user;
  return requester;
}

/* The answer of another status than 2xx as the error that it tells of. */
static void
set_error (const CmReply *reply, const CmJson *answer, GError **error)
{
  const char *errcode = cm_json_get_text (answer, "errcode");
  const char *message = cm_json_get_text (answer, "error");
  CmError code = CM_ERROR_UNKNOWN;

  for (CmError candidate = 0; errcode != NULL && candidate < CM_ERROR_LAST; candidate++)
    if (strcmp (cm_error_errcode (candidate), errcode) == 0 &&
        cm_error_status (candidate) == cm_reply_status (reply))
      code = candidate;
  g_set_error_literal (error, CM_ERROR, code, message != NULL ? message : "The request failed");
}

CmJsonDoc *
cm_ask (const CmAsker *asker, const char *method, const char *target, GBytes *body, GError **error)
{
  g_autoptr (Waiting) waiting = waiting_new ();
  CmReply *refusal = NULL;

  g_autoptr (CmCall) call = cm_call_new_inside (asker->node, method, target, body, call_answered,
                                                g_atomic_rc_box_acquire (waiting));
  call->requester = requester_of (asker);
  if (cm_router_head (call, &refusal, asker->node->router) < 0)
    cm_call_reply (call, refusal);
  else
    cm_router_call (call, asker->node->router);
  if (!wait_for_answer (waiting, asker->stopping)) {
    cm_call_set_gone (call);
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The node is stopping");
    return NULL;
  }

  const CmReply *reply = cm_call_get_reply (call);
  GBytes *text = cm_reply_body (reply);
  g_autoptr (CmJsonDoc) answer = text != NULL ? cm_json_parse_bytes (text, NULL) : NULL;
  if (cm_reply_status (reply) / 100 == 2 && answer != NULL)
    return g_steal_pointer (&answer);
  set_error (reply, cm_json_doc_root (answer), error);
  return NULL;
}

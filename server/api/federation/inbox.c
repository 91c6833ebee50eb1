#include "server/api/federation/inbox.h"

#include "server/router/lanes.h"
#include "server/router/router.h"

#define MAX_WAITING 20

struct _CmInbox {
  CmNode *node;
  CmInboxWork work;
  GMutex mutex;
  GHashTable *origins; /* name -> GQueue of waiting CmCalls; there while one is under way */
};

/* The next call of an origin. */
typedef struct {
  CmInbox *inbox;
  CmCall *call;
} Turn;

static void run_turn (gpointer data);

static void
free_queue (gpointer data)
{
  g_queue_free_full (data, (GDestroyNotify) cm_call_unref);
}

static void
answer_error (CmCall *call, CmError code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (CM_ERROR, (gint) code, message);

  cm_call_reply (call, cm_reply_error (error));
}

/* The origin's next call gets its turn at the end of the lane, behind those of others. */
static void
pass_on (CmInbox *inbox, const char *origin)
{
  CmCall *next;

  g_mutex_lock (&inbox->mutex);
  GQueue *waiting = g_hash_table_lookup (inbox->origins, origin);
  next = g_queue_pop_head (waiting);
  if (next == NULL)
    g_hash_table_remove (inbox->origins, origin);
  g_mutex_unlock (&inbox->mutex);
  if (next == NULL)
    return;
  Turn *turn = g_new (Turn, 1);
  *turn = (Turn){ inbox, next };
  if (cm_lanes_push (inbox->node->lanes, CM_LANE_INBOX, run_turn, turn))
    return;
  g_free (turn);
  answer_error (next, CM_ERROR_UNAVAILABLE, "The server is too busy");
  pass_on (inbox, origin);
  cm_call_unref (next);
}

static void
run_turn (gpointer data)
{
  g_autofree Turn *turn = data;
  g_autoptr (CmCall) call = turn->call;
  g_autoptr (GError) error = NULL;
  CmReply *reply = cm_router_read_again (call, &error) ? turn->inbox->work (call, &error) : NULL;

  cm_call_forget_doc (call);
  cm_call_finish (call, reply, error);
  pass_on (turn->inbox, cm_call_origin (call));
}

CmReply *
cm_inbox_take (CmInbox *inbox, CmCall *call, GError **error)
{
  const char *origin = cm_call_origin (call);
  {
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&inbox->mutex);
    GQueue *waiting = g_hash_table_lookup (inbox->origins, origin);
    if (waiting != NULL && waiting->length >= MAX_WAITING) {
      g_set_error_literal (error, CM_ERROR, CM_ERROR_LIMIT_EXCEEDED,
                           "Send one transaction at a time");
      return NULL;
    }
    if (waiting != NULL) {
      /* It takes many times its length, and a server can make its own turn long (class
       * fed-body-memory). */
      cm_call_forget_doc (call);
      g_queue_push_tail (waiting, cm_call_ref (call));
      return CM_REPLY_LATER;
    }
    g_hash_table_insert (inbox->origins, g_strdup (origin), g_queue_new ());
  }
  CmReply *reply = inbox->work (call, error);
  pass_on (inbox, origin);
  return reply;
}

CmInbox *
cm_inbox_new (CmNode *node, CmInboxWork work)
{
  CmInbox *inbox = g_new0 (CmInbox, 1);

  inbox->node = node;
  inbox->work = work;
  g_mutex_init (&inbox->mutex);
  inbox->origins = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_queue);
  return inbox;
}

void
cm_inbox_free (CmInbox *inbox)
{
  g_hash_table_unref (inbox->origins);
  g_mutex_clear (&inbox->mutex);
  g_free (inbox);
}

#include "server/router/hand-over.h"

#include "server/node.h"
#include "server/router/lanes.h"

typedef struct {
  CmCall *call;
  CmHandler handler;
} Rest;

static void
rest_free (Rest *rest)
{
  cm_call_unref (rest->call);
  g_free (rest);
}

static void
finish (gpointer data)
{
  Rest *rest = data;
  g_autoptr (GError) error = NULL;
  CmReply *reply = rest->handler (rest->call, &error);

  cm_call_finish (rest->call, reply, error);
  rest_free (rest);
}

CmReply *
cm_call_hand_over (CmCall *call, CmLane lane, CmHandler handler, GError **error)
{
  Rest *rest = g_new0 (Rest, 1);

  rest->call = cm_call_ref (call);
  rest->handler = handler;
  if (cm_lanes_push (cm_call_node (call)->lanes, lane, finish, rest))
    return CM_REPLY_LATER;
  rest_free (rest);
  g_set_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The server is too busy");
  return NULL;
}

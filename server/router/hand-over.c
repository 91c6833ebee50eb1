#include "server/router/hand-over.h"

#include "server/node.h"
#include "server/router/lanes.h"
#include "server/router/limits.h"

#include <string.h>

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
  CmReply *reply = NULL;

  /* Nobody waits any more for what was to be read. */
  if (cm_call_is_gone (rest->call) && strcmp (cm_call_method (rest->call), "GET") == 0)
    g_set_error_literal (&error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The client is gone");
  else
    reply = rest->handler (rest->call, &error);
  cm_call_finish (rest->call, reply, error);
  rest_free (rest);
}

/* Whose share of a fair lane @call takes; NULL where lanes are not shared out. */
static char *
key_of (const CmCall *call, CmLane lane)
{
  if (lane != CM_LANE_REMOTE)
    return NULL;
  return cm_call_user (call) != NULL ? g_strdup (cm_call_user (call))
                                     : cm_limits_address_key (cm_call_address (call));
}

CmReply *
cm_call_hand_over (CmCall *call, CmLane lane, CmHandler handler, GError **error)
{
  g_autofree char *key = key_of (call, lane);
  Rest *rest = g_new0 (Rest, 1);

  rest->call = cm_call_ref (call);
  rest->handler = handler;
  if (cm_lanes_push_fair (cm_call_node (call)->lanes, lane, key, finish, rest))
    return CM_REPLY_LATER;
  rest_free (rest);
  if (key != NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_LIMIT_EXCEEDED, "Too many requests at a time");
  else
    g_set_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The server is too busy");
  return NULL;
}

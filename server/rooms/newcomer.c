#include "server/rooms/newcomer.h"

#include "crypto/id.h"
#include "federation/rooms.h"
#include "schema/sync.h"
#include "server/ephemeral/presence.h"

#include <string.h>

/* A new server is told of so many; of the others when they next do something. */
#define MAX_TOLD 100

gboolean
cm_newcomer_concerns (CmNode *node, const CmEvent *event)
{
  return node->destinations != NULL && g_strcmp0 (cm_event_membership (event), "join") == 0;
}

/* Those of this server in the room, to @server. */
static gboolean
introduce (CmNode *node, const CmRoomView *view, const char *server, GError **error)
{
  const char *servers[] = { server, NULL };
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmRows) members =
      db != NULL ? cm_sync_local_members (db, view->room, G_MAXINT64, error) : NULL;

  if (members == NULL)
    return FALSE;
  for (gsize i = 0, told = 0; i < cm_rows_count (members) && told < MAX_TOLD; i++)
    told += cm_ephemeral_tell (node->ephemeral, cm_rows_text (members, i, 0), servers);
  return TRUE;
}

gboolean
cm_newcomer_entered (CmNode *node, const CmEvent *event, GError **error)
{
  const char *domain = cm_id_domain (event->state_key);
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, event->room_id, error);

  if (view == NULL || domain == NULL)
    return view != NULL;
  if (strcmp (domain, node->server_name) == 0) {
    cm_ephemeral_tell (node->ephemeral, event->state_key,
                       (const char *const *) view->others->pdata);
    return TRUE;
  }
  return GPOINTER_TO_INT (g_hash_table_lookup (view->servers, domain)) != 1 ||
         introduce (node, view, domain, error);
}

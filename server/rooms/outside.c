#include "server/rooms/outside.h"

#include "crypto/id.h"
#include "crypto/json.h"
#include "schema/ids.h"

#include <string.h>

static CmOutsideMembership *
find (CmNode *node, const char *room_id, const char *user_id, GError **failure)
{
  gint64 room = cm_sym_lookup (node->ids, room_id, failure);
  gint64 user = *failure == NULL ? cm_sym_lookup (node->ids, user_id, failure) : 0;

  if (*failure != NULL || room == 0 || user == 0)
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, failure);
  return db != NULL ? cm_outside_membership_find (db, room, user, failure) : NULL;
}

CmOutsideMembership *
cm_room_outside (CmNode *node, const char *room_id, const char *user_id, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmOutsideMembership) outside = find (node, room_id, user_id, &failure);

  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  return outside != NULL && strcmp (outside->membership, "leave") != 0 ? g_steal_pointer (&outside)
                                                                       : NULL;
}

char *
cm_room_outside_server (const CmOutsideMembership *outside)
{
  g_autoptr (CmJsonDoc) event = cm_json_parse_bytes (outside->event, NULL);
  const char *sender = event != NULL ? cm_json_get_text (cm_json_doc_root (event), "sender") : NULL;

  return sender != NULL ? g_strdup (cm_id_domain (sender)) : NULL;
}

#include "server/rooms/enter.h"

#include "crypto/id.h"
#include "federation/handshake.h"
#include "server/rooms/guests.h"
#include "server/rooms/member-content.h"
#include "server/rooms/outside.h"
#include "server/rooms/restricted.h"
#include "server/rooms/space.h"

#include <string.h>

#define MAX_VIA 20

gboolean
cm_room_is_live (const CmRoomView *view)
{
  const char *here = cm_rooms_parts (view->rooms)->server_name;
  guint servers = g_hash_table_size (view->servers);

  return view->local_joined > 0 || servers == 0 ||
         (servers == 1 && g_hash_table_contains (view->servers, here));
}

/* (transfer full) NULL without @error when this node holds no such room, or has lost touch with it.
 */
static CmRoom *
find_live (CmNode *node, const char *room_id, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmRoom) room = cm_rooms_get (node->rooms, room_id, &failure);

  if (room == NULL) {
    if (!g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND))
      g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  g_autoptr (CmRoomView) view = cm_room_view (room);
  return cm_room_is_live (view) ? g_steal_pointer (&room) : NULL;
}

static void
add_server (const CmNode *node, GPtrArray *via, const char *name)
{
  if (via->len >= MAX_VIA || !cm_id_is_server_name (name) ||
      strcmp (name, node->server_name) == 0 ||
      g_ptr_array_find_with_equal_func (via, name, g_str_equal, NULL))
    return;
  g_ptr_array_add (via, g_strdup (name));
}

/* Whoever invited the user can let him in. */
static gboolean
add_inviter (CmNode *node, const CmEntry *entry, GPtrArray *via, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmOutsideMembership) outside =
      cm_room_outside (node, entry->room_id, entry->user_id, &failure);

  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  g_autofree char *server = outside != NULL ? cm_room_outside_server (outside) : NULL;
  if (server != NULL)
    add_server (node, via, server);
  return TRUE;
}

/* (transfer full) the servers to ask, as a strv in an array. */
static GPtrArray *
collect_via (CmNode *node, const CmEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) via = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, entry->room_id, NULL);
  gpointer name;
  GHashTableIter iter;

  if (!add_inviter (node, entry, via, error))
    return NULL;
  for (gsize i = 0; entry->via != NULL && entry->via[i] != NULL; i++)
    add_server (node, via, entry->via[i]);
  if (view != NULL) {
    g_hash_table_iter_init (&iter, view->servers);
    while (g_hash_table_iter_next (&iter, &name, NULL))
      add_server (node, via, name);
  }
  if (cm_id_domain (entry->room_id) != NULL)
    add_server (node, via, cm_id_domain (entry->room_id));
  if (via->len == 0 || node->intake == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "No server is known to be in this room");
    return NULL;
  }
  g_ptr_array_add (via, NULL);
  return g_steal_pointer (&via);
}

static gboolean
forbid_guest (GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_GUEST_ACCESS_FORBIDDEN, "Guests cannot join this room");
  return FALSE;
}

static gboolean
check_guest (const CmEntry *entry, const CmRoomView *view, GError **error)
{
  return !entry->guest || cm_guests_may_join (view) || forbid_guest (error);
}

/* What a room that is not here says about guests, other servers must tell. */
static gboolean
check_guest_elsewhere (CmNode *node, const CmEntry *entry, const GPtrArray *via, GError **error)
{
  if (!entry->guest)
    return TRUE;
  g_autoptr (CmJsonDoc) room = cm_space_find (
      node, entry->room_id, (const char *const *) via->pdata, entry->user_id, FALSE, NULL);
  return (room != NULL && cm_json_get_boolean (cm_json_doc_root (room), "guest_can_join", FALSE)) ||
         forbid_guest (error);
}

static CmJsonDoc *
content_of (CmNode *node, const CmEntry *entry, const char *membership, const char *authority,
            GError **error)
{
  CmMemberContent content = { .membership = membership,
                              .user_id = entry->user_id,
                              .reason = entry->reason,
                              .authorised_by = authority };

  if (entry->content != NULL)
    return cm_member_content_by_client (entry->content, authority);
  return cm_member_content_new (node, &content, error);
}

static gboolean
append_member (CmRoom *room, const CmEntry *entry, CmJsonDoc *content, GError **error)
{
  CmDraft draft = { .type = "m.room.member",
                    .state_key = entry->user_id,
                    .sender = entry->user_id,
                    .content = cm_json_doc_root (content) };
  g_autoptr (CmEvent) event = cm_room_append_one (room, &draft, error);

  return event != NULL;
}

static gboolean
join_elsewhere (CmNode *node, const CmEntry *entry, GError **error)
{
  g_autoptr (GPtrArray) via = collect_via (node, entry, error);
  g_autoptr (CmJsonDoc) content =
      via != NULL ? content_of (node, entry, "join", NULL, error) : NULL;

  if (content == NULL || !check_guest_elsewhere (node, entry, via, error))
    return FALSE;
  g_autoptr (CmRoom) room =
      cm_handshake_join (node->intake, entry->room_id, entry->user_id,
                         (const char *const *) via->pdata, cm_json_doc_root (content), error);
  return room != NULL;
}

static gboolean
join_here (CmNode *node, const CmEntry *entry, CmRoom *room, GError **error)
{
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_autofree char *authority = NULL;
  CmRestricted restricted;

  if (cm_room_membership (view, entry->user_id) == CM_MEMBERSHIP_JOIN)
    return TRUE;
  if (!check_guest (entry, view, error) ||
      !cm_restricted_check (node, view, entry->user_id, &restricted, &authority, error))
    return FALSE;
  if (restricted == CM_RESTRICTED_ELSEWHERE)
    return join_elsewhere (node, entry, error);
  g_autoptr (CmJsonDoc) content = content_of (node, entry, "join", authority, error);
  return content != NULL && append_member (room, entry, content, error);
}

gboolean
cm_room_is_entry (const CmRoomView *view, const char *sender, const char *state_key,
                  const CmJson *content)
{
  return strcmp (sender, state_key) == 0 &&
         g_strcmp0 (cm_json_get_text (content, "membership"), "join") == 0 &&
         cm_room_membership (view, sender) != CM_MEMBERSHIP_JOIN;
}

gboolean
cm_room_join (CmNode *node, const CmEntry *entry, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmRoom) room = find_live (node, entry->room_id, &failure);

  if (room != NULL)
    return join_here (node, entry, room, error);
  if (failure == NULL)
    return join_elsewhere (node, entry, error);
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

gboolean
cm_room_knock (CmNode *node, const CmEntry *entry, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmRoom) room = find_live (node, entry->room_id, &failure);
  g_autoptr (CmJsonDoc) content = NULL;
  g_autoptr (GPtrArray) via = NULL;

  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  content = content_of (node, entry, "knock", NULL, error);
  if (content == NULL || room != NULL)
    return content != NULL && append_member (room, entry, content, error);
  via = collect_via (node, entry, error);
  return via != NULL &&
         cm_handshake_knock (node->intake, entry->room_id, entry->user_id,
                             (const char *const *) via->pdata, cm_json_doc_root (content), error);
}

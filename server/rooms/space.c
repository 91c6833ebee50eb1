#include "server/rooms/space.h"

#include "crypto/id.h"
#include "federation/fed-client.h"
#include "server/rooms/enter.h"
#include "server/rooms/outside.h"
#include "server/rooms/summary.h"

#include <string.h>

#define MAX_VIA 3 /* servers that are asked about one room */

/* client-server, "m.space.child": an order that breaks the rules counts as none. */
static const char *
order_of (const CmEvent *child)
{
  const char *order = cm_json_get_text (child->content, "order");

  if (order == NULL || strlen (order) > 50)
    return NULL;
  for (const char *at = order; *at != '\0'; at++)
    if (*at < 0x20 || *at > 0x7e)
      return NULL;
  return order;
}

/* client-server, "Ordering of children within a space" */
static int
compare_children (gconstpointer a, gconstpointer b)
{
  const CmEvent *left = *(CmEvent *const *) a, *right = *(CmEvent *const *) b;
  const char *left_order = order_of (left), *right_order = order_of (right);

  if ((left_order == NULL) != (right_order == NULL))
    return left_order == NULL ? 1 : -1;
  int order = g_strcmp0 (left_order, right_order);
  if (order != 0)
    return order;
  if (left->origin_server_ts != right->origin_server_ts)
    return left->origin_server_ts < right->origin_server_ts ? -1 : 1;
  return strcmp (left->state_key, right->state_key);
}

static gboolean
is_child (const CmEvent *event, gboolean suggested_only)
{
  return event != NULL && cm_json_length (cm_json_get_array (event->content, "via")) > 0 &&
         cm_id_is_room (event->state_key) &&
         (!suggested_only || cm_json_get_boolean (event->content, "suggested", FALSE));
}

static void
put_child (CmJsonWriter *writer, const CmEvent *event)
{
  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, "content", event->content);
  cm_json_put_integer (writer, "origin_server_ts", event->origin_server_ts);
  cm_json_put_text (writer, "sender", event->sender);
  cm_json_put_text (writer, "state_key", event->state_key);
  cm_json_put_text (writer, "type", event->type);
  cm_json_close (writer);
}

gboolean
cm_space_put_children (CmJsonWriter *writer, const CmRoomView *view, gboolean suggested_only,
                       GError **error)
{
  g_autofree char *type = cm_room_summary_type (view);
  gboolean space = g_strcmp0 (type, "m.space") == 0;
  g_autoptr (GPtrArray) events = cm_room_state_events (view, "m.space.child", error);

  if (events == NULL)
    return FALSE;
  for (guint i = events->len; i > 0; i--)
    if (!space || !is_child (events->pdata[i - 1], suggested_only))
      g_ptr_array_remove_index (events, i - 1);
  g_ptr_array_sort (events, compare_children);
  cm_json_open_array (writer, "children_state");
  for (guint i = 0; i < events->len; i++)
    put_child (writer, events->pdata[i]);
  cm_json_close (writer);
  return TRUE;
}

CmJsonDoc *
cm_space_room (const CmRoomView *view, gboolean suggested_only, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_room_summary_put (writer, view, CM_SUMMARY_DETAILS | CM_SUMMARY_ALLOWED);
  if (!cm_space_put_children (writer, view, suggested_only, error))
    return NULL;
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

static gboolean
not_found (GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Room not found");
  return FALSE;
}

/* Of what another server says only what is known, and of the right type, goes further. */
static CmJsonDoc *
copy_of (const CmJson *room)
{
  static const char *const texts[] = { "room_id",     "name",      "topic",      "avatar_url",
                                       "join_rule",   "room_type", "encryption", "canonical_alias",
                                       "room_version" };
  static const char *const arrays[] = { "allowed_room_ids", "children_state" };
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *item;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    cm_json_put_text (writer, texts[i], cm_json_get_text (room, texts[i]));
  cm_json_put_integer (writer, "num_joined_members",
                       cm_json_get_integer (room, "num_joined_members", 0));
  cm_json_put_boolean (writer, "guest_can_join",
                       cm_json_get_boolean (room, "guest_can_join", FALSE));
  cm_json_put_boolean (writer, "world_readable",
                       cm_json_get_boolean (room, "world_readable", FALSE));
  for (gsize i = 0; i < G_N_ELEMENTS (arrays); i++) {
    CmJsonType type = i == 0 ? CM_JSON_STRING : CM_JSON_OBJECT;
    cm_json_open_array (writer, arrays[i]);
    cm_json_iter_init (&iter, cm_json_get_array (room, arrays[i]));
    while (cm_json_iter_next (&iter, NULL, &item))
      if (cm_json_type (item) == type)
        cm_json_put_node (writer, NULL, item);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

static CmJsonDoc *
ask_server (CmNode *node, const char *room_id, const char *server, gboolean suggested_only,
            GError **error)
{
  g_autofree char *target = cm_fed_path ("/_matrix/federation/v1/hierarchy/%s?suggested_only=%s",
                                         room_id, suggested_only ? "true" : "false");
  CmFedRequest request = { .method = "GET", .target = target };
  g_autoptr (CmJsonDoc) answer = cm_fed_call (node->fed_client, server, &request, NULL, error);

  if (answer == NULL)
    return NULL;
  const CmJson *room = cm_json_get_object (cm_json_doc_root (answer), "room");
  if (g_strcmp0 (cm_json_get_text (room, "room_id"), room_id) == 0)
    return copy_of (room);
  not_found (error);
  return NULL;
}

static gboolean
is_in_one_of (CmNode *node, const CmJson *room_ids, const char *user_id)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, room_ids);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    const char *room_id = cm_json_text (item);
    g_autoptr (CmRoomView) view =
        cm_id_is_room (room_id) ? cm_rooms_view (node->rooms, room_id, NULL) : NULL;
    if (view != NULL && cm_room_membership (view, user_id) == CM_MEMBERSHIP_JOIN)
      return TRUE;
  }
  return FALSE;
}

/* What this server may know its users need not: as cm_room_is_open_to_user, by the summary. */
static gboolean
is_open (CmNode *node, const CmJson *room, const char *user_id, const CmOutsideMembership *outside)
{
  static const char *const open[] = { "public", "knock", "knock_restricted", NULL };
  const char *rule = cm_json_get_text (room, "join_rule");

  if (rule == NULL || g_strv_contains (open, rule) || outside != NULL ||
      cm_json_get_boolean (room, "world_readable", FALSE))
    return TRUE;
  return user_id != NULL && strcmp (rule, "restricted") == 0 &&
         is_in_one_of (node, cm_json_get_array (room, "allowed_room_ids"), user_id);
}

/* (transfer full) @via, after the server of who invited: it certainly knows the room. */
static char **
candidates (const char *const *via, const CmOutsideMembership *outside)
{
  g_autoptr (GStrvBuilder) servers = g_strv_builder_new ();
  g_autofree char *inviting = outside != NULL ? cm_room_outside_server (outside) : NULL;

  if (inviting != NULL)
    g_strv_builder_add (servers, inviting);
  for (gsize i = 0; via != NULL && via[i] != NULL; i++)
    if (g_strcmp0 (via[i], inviting) != 0)
      g_strv_builder_add (servers, via[i]);
  return g_strv_builder_end (servers);
}

static CmJsonDoc *
find_elsewhere (CmNode *node, const char *room_id, const char *const *via, const char *user_id,
                gboolean suggested_only, GError **error)
{
  g_autoptr (CmOutsideMembership) outside =
      user_id != NULL ? cm_room_outside (node, room_id, user_id, NULL) : NULL;
  g_auto (GStrv) servers = candidates (via, outside);
  guint asked = 0;

  for (gsize i = 0; node->fed_client != NULL && servers[i] != NULL && asked < MAX_VIA; i++) {
    if (!cm_id_is_server_name (servers[i]) || strcmp (servers[i], node->server_name) == 0)
      continue;
    asked++;
    g_autoptr (CmJsonDoc) room = ask_server (node, room_id, servers[i], suggested_only, NULL);
    if (room != NULL && is_open (node, cm_json_doc_root (room), user_id, outside))
      return g_steal_pointer (&room);
  }
  not_found (error);
  return NULL;
}

CmJsonDoc *
cm_space_find (CmNode *node, const char *room_id, const char *const *via, const char *user_id,
               gboolean suggested_only, GError **error)
{
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, room_id, NULL);

  if (view == NULL || !cm_room_is_live (view))
    return find_elsewhere (node, room_id, via, user_id, suggested_only, error);
  if (cm_room_is_open_to_user (node, view, user_id))
    return cm_space_room (view, suggested_only, error);
  not_found (error);
  return NULL;
}

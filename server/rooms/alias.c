#include "server/rooms/alias.h"

#include "crypto/id.h"
#include "federation/fed-client.h"
#include "schema/room-directory.h"

#include <string.h>

#define MAX_NEW_ALIASES 20

void
cm_alias_target_free (CmAliasTarget *target)
{
  g_free (target->room_id);
  g_strfreev (target->servers);
  g_free (target);
}

static void
set_not_found (const char *alias, GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no room %s", alias);
}

/* The servers in the room, this one first. */
static char **
servers_of (CmNode *node, const char *room_id)
{
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, room_id, NULL);
  g_autoptr (GStrvBuilder) servers = g_strv_builder_new ();
  gpointer name;
  GHashTableIter iter;
  guint count = 1;

  g_strv_builder_add (servers, node->server_name);
  if (view == NULL)
    return g_strv_builder_end (servers);
  g_hash_table_iter_init (&iter, view->servers);
  while (count < CM_ALIAS_MAX_SERVERS && g_hash_table_iter_next (&iter, &name, NULL)) {
    if (strcmp (name, node->server_name) == 0)
      continue;
    g_strv_builder_add (servers, name);
    count++;
  }
  return g_strv_builder_end (servers);
}

static CmAliasTarget *
resolve_here (CmNode *node, const char *alias, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmAlias) found = NULL;

  {
    g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
    if (db == NULL)
      return NULL;
    found = cm_alias_find (db, alias, &failure);
  }
  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  else if (found == NULL)
    set_not_found (alias, error);
  if (found == NULL)
    return NULL;
  CmAliasTarget *target = g_new0 (CmAliasTarget, 1);
  target->room_id = g_strdup (found->room_id);
  target->servers = servers_of (node, found->room_id);
  return target;
}

/* server-server, "Query Directory": what another server says is checked before anybody builds on
 * it. */
static CmAliasTarget *
read_answer (const char *alias, const CmJson *answer, GError **error)
{
  const char *room_id = cm_json_get_text (answer, "room_id");
  g_autoptr (GStrvBuilder) servers = g_strv_builder_new ();
  const CmJson *item;
  CmJsonIter iter;
  guint count = 1;

  if (!cm_id_is_room (room_id)) {
    set_not_found (alias, error);
    return NULL;
  }
  g_strv_builder_add (servers, cm_id_domain (alias));
  cm_json_iter_init (&iter, cm_json_get_array (answer, "servers"));
  while (count < CM_ALIAS_MAX_SERVERS && cm_json_iter_next (&iter, NULL, &item)) {
    const char *name = cm_json_text (item);
    if (!cm_id_is_server_name (name) || strcmp (name, cm_id_domain (alias)) == 0)
      continue;
    g_strv_builder_add (servers, name);
    count++;
  }
  CmAliasTarget *target = g_new0 (CmAliasTarget, 1);
  target->room_id = g_strdup (room_id);
  target->servers = g_strv_builder_end (servers);
  return target;
}

static CmAliasTarget *
resolve_elsewhere (CmNode *node, const char *alias, GError **error)
{
  g_autofree char *target =
      cm_fed_path ("/_matrix/federation/v1/query/directory?room_alias=%s", alias);
  CmFedRequest request = { .method = "GET", .target = target };

  if (node->fed_client == NULL) {
    set_not_found (alias, error);
    return NULL;
  }
  g_autoptr (CmJsonDoc) answer =
      cm_fed_call (node->fed_client, cm_id_domain (alias), &request, NULL, error);
  return answer != NULL ? read_answer (alias, cm_json_doc_root (answer), error) : NULL;
}

CmAliasTarget *
cm_alias_resolve (CmNode *node, const char *alias, GError **error)
{
  if (!cm_id_is_alias (alias)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This is no room alias");
    return NULL;
  }
  return cm_id_domain_is (alias, node->server_name) ? resolve_here (node, alias, error)
                                                    : resolve_elsewhere (node, alias, error);
}

CmAliasTarget *
cm_alias_target_named (CmNode *node, const char *name, GStrv via, GError **error)
{
  g_auto (GStrv) servers = via;

  if (name[0] == '#')
    return cm_alias_resolve (node, name, error);
  if (!cm_id_is_room (name)) {
    cm_fail (error, CM_ERROR_INVALID_PARAM, "This is no room id and no alias");
    return NULL;
  }
  CmAliasTarget *target = g_new0 (CmAliasTarget, 1);
  target->room_id = g_strdup (name);
  target->servers = g_steal_pointer (&servers);
  return target;
}

CmReply *
cm_alias_target_reply (const CmAliasTarget *target)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "room_id", target->room_id);
  cm_json_open_array (writer, "servers");
  for (gsize i = 0; target->servers[i] != NULL; i++)
    cm_json_put_text (writer, NULL, target->servers[i]);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static gboolean
names (const CmJson *content, const char *alias)
{
  const CmJson *item;
  CmJsonIter iter;

  if (g_strcmp0 (cm_json_get_text (content, "alias"), alias) == 0)
    return TRUE;
  cm_json_iter_init (&iter, cm_json_get_array (content, "alt_aliases"));
  while (cm_json_iter_next (&iter, NULL, &item))
    if (g_strcmp0 (cm_json_text (item), alias) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
check_one (CmNode *node, const CmRoomView *view, const CmEvent *present, const CmJson *item,
           GError **error)
{
  const char *alias = cm_json_text (item);
  g_autoptr (GError) failure = NULL;

  if (!cm_id_is_alias (alias)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "Not a room alias");
    return FALSE;
  }
  if (present != NULL && names (present->content, alias))
    return TRUE;
  g_autoptr (CmAliasTarget) target = cm_alias_resolve (node, alias, &failure);
  if (target != NULL && strcmp (target->room_id, view->room_id) == 0)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_BAD_ALIAS, "%s does not point to this room", alias);
  return FALSE;
}

/* Each new one may be another server's to be asked about. */
static gboolean
are_too_many (const CmEvent *present, const CmJson *others)
{
  const CmJson *item;
  CmJsonIter iter;
  guint n = 0;

  cm_json_iter_init (&iter, others);
  while (cm_json_iter_next (&iter, NULL, &item))
    n += present == NULL || cm_json_text (item) == NULL ||
         !names (present->content, cm_json_text (item));
  return n > MAX_NEW_ALIASES;
}

/* client-server, PUT /state, "m.room.canonical_alias". */
gboolean
cm_alias_check_canonical (CmNode *node, const CmRoomView *view, const CmEvent *present,
                          const CmJson *content, GError **error)
{
  const CmJson *alias = cm_json_get (content, "alias");
  const CmJson *others = cm_json_get (content, "alt_aliases");
  const CmJson *item;
  CmJsonIter iter;

  if ((alias != NULL && cm_json_type (alias) != CM_JSON_STRING &&
       cm_json_type (alias) != CM_JSON_NULL) ||
      (others != NULL && cm_json_type (others) != CM_JSON_ARRAY)) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON,
                 "alias must be a text and alt_aliases a list of texts");
    return FALSE;
  }
  if (are_too_many (present, others)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "Too many new aliases at once");
    return FALSE;
  }
  /* Null and an empty text take the alias away. */
  if (cm_json_type (alias) == CM_JSON_STRING && cm_json_length (alias) > 0 &&
      !check_one (node, view, present, alias, error))
    return FALSE;
  cm_json_iter_init (&iter, others);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (!check_one (node, view, present, item, error))
      return FALSE;
  return TRUE;
}

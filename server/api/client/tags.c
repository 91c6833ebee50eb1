/* Tags of rooms are the account data m.tag, changed one at a time. */
#include "schema/account-data.h"

#include "crypto/id.h"
#include "schema/committer.h"
#include "server/api/data-quota.h"
#include "server/api/own.h"
#include "server/node.h"
#include "server/routes.h"

#include <string.h>

#define MAX_TAGS  200
#define MAX_TRIES 8

static gboolean
check_path (CmCall *call, GError **error)
{
  const char *tag = cm_call_param (call, "tag");

  if (!cm_call_is_own (call, error))
    return FALSE;
  if (cm_id_is_room (cm_call_param (call, "roomId")) &&
      (tag == NULL || strlen (tag) <= CM_ID_MAX_BYTES))
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                       "The room id is not valid, or the tag is too long");
  return FALSE;
}

/* (transfer full) the content of m.tag, NULL with @error; @position as cm_account_data_change wants
 * it. */
static CmJsonDoc *
read_tags (CmCall *call, gint64 *position, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (GBytes) content =
      db != NULL ? cm_account_data_get (db, cm_call_user (call), cm_call_param (call, "roomId"),
                                        "m.tag", position, &failure)
                 : NULL;

  if (db == NULL)
    return NULL;
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  return content != NULL ? cm_json_parse_bytes (content, error) : cm_json_parse ("{}", 2, error);
}

/* @old with @tag set to @value, or (NULL) without it. */
static GBytes *
change_tags (const CmJson *old, const char *tag, const CmJson *value, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *tags = cm_json_get_object (old, "tags");
  const CmJson *other;
  const char *key;
  CmJsonIter iter;

  if (value != NULL && cm_json_length (tags) >= MAX_TAGS && cm_json_get (tags, tag) == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_TOO_LARGE, "The room has too many tags");
    return NULL;
  }
  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "tags");
  cm_json_iter_init (&iter, tags);
  while (cm_json_iter_next (&iter, &key, &other))
    if (g_strcmp0 (cm_json_text (iter.key), tag) != 0)
      cm_json_put_member (writer, iter.key, other);
  cm_json_put_node (writer, tag, value);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

static CmReply *
change (CmCall *call, const CmJson *value, GError **error)
{
  CmNode *node = cm_call_node (call);

  for (guint tries = 1;; tries++) {
    g_autoptr (GError) failure = NULL;
    gint64 before;
    g_autoptr (CmJsonDoc) old = read_tags (call, &before, error);
    g_autoptr (GBytes) content =
        old != NULL
            ? change_tags (cm_json_doc_root (old), cm_call_param (call, "tag"), value, error)
            : NULL;
    if (content == NULL ||
        !cm_call_check_data_quota (call, cm_call_param (call, "roomId"), "m.tag", content, error))
      return NULL;
    CmWrite *write = cm_write_new ();
    cm_account_data_change (write, cm_call_user (call), cm_call_param (call, "roomId"), "m.tag",
                            content, before);
    if (cm_committer_commit (node->committer, write, &failure) > 0)
      return cm_reply_empty ();
    /* Another device was faster. */
    if (g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT) && tries < MAX_TRIES)
      continue;
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
}

static CmReply *
put_tag (CmCall *call, GError **error)
{
  const CmJson *order = cm_json_get (cm_call_json (call), "order");
  double number;

  if (!check_path (call, error))
    return NULL;
  if (order != NULL && !cm_json_double (order, &number)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "order must be a number");
    return NULL;
  }
  return change (call, cm_call_json (call), error);
}

static CmReply *
delete_tag (CmCall *call, GError **error)
{
  return check_path (call, error) ? change (call, NULL, error) : NULL;
}

static CmReply *
get_tags (CmCall *call, GError **error)
{
  gint64 position;
  g_autoptr (CmJsonDoc) content =
      check_path (call, error) ? read_tags (call, &position, error) : NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (content == NULL)
    return NULL;
  const CmJson *tags = cm_json_get_object (cm_json_doc_root (content), "tags");
  cm_json_open_object (writer, NULL);
  if (tags != NULL) {
    cm_json_put_node (writer, "tags", tags);
  } else {
    cm_json_open_object (writer, "tags");
    cm_json_close (writer);
  }
  cm_json_close (writer);
  return cm_reply_json (writer);
}

#define TAGS "/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags"

const CmRoute cm_routes_tags[] = {
  { "GET", TAGS, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, get_tags, 0 },
  { "PUT", TAGS "/{tag}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON, put_tag,
    64 * 1024 },
  { "DELETE", TAGS "/{tag}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, delete_tag,
    0 },
  CM_ROUTES_END,
};

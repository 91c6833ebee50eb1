/* Finding users. */
#include "schema/ids.h"
#include "schema/user-directory.h"
#include "server/api/body.h"
#include "server/node.h"
#include "server/routes.h"

#include <string.h>

#define MAX_TERM      255
#define DEFAULT_LIMIT 10
#define MAX_LIMIT     50

static gboolean
read_limit (const CmJson *body, gint64 *limit, GError **error)
{
  const CmJson *node = cm_json_get (body, "limit");
  *limit = DEFAULT_LIMIT;
  if (!node)
    return TRUE;
  if (!cm_json_integer (node, limit) || *limit < 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "limit must be a positive number");
    return FALSE;
  }
  *limit = MIN (*limit, MAX_LIMIT);
  return TRUE;
}

/* A member event of another server is what that server made it. */
static void
put_from_event (CmJsonWriter *writer, GBytes *event)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (event, NULL);
  const CmJson *content = doc ? cm_json_get_object (cm_json_doc_root (doc), "content") : NULL;
  cm_json_put_text (writer, "display_name", cm_json_get_text (content, "displayname"));
  cm_json_put_text (writer, "avatar_url", cm_json_get_text (content, "avatar_url"));
}

static void
put_user (CmJsonWriter *writer, const CmFoundUser *user)
{
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "user_id", user->user_id);
  if (user->display_name)
    cm_json_put_raw (writer, "display_name", user->display_name, strlen (user->display_name));
  if (user->avatar_url)
    cm_json_put_raw (writer, "avatar_url", user->avatar_url, strlen (user->avatar_url));
  if (user->event)
    put_from_event (writer, user->event);
  cm_json_close (writer);
}

static CmReply *
reply (const GPtrArray *found, gint64 limit)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "results");
  for (guint i = 0; i < found->len && i < limit; i++)
    put_user (writer, found->pdata[i]);
  cm_json_close (writer);
  cm_json_put_boolean (writer, "limited", found->len > limit);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* The syms of the types that say whether a room is open. */
static gboolean
find_types (CmNode *node, CmUserSearch *search, GError **error)
{
  static const char *const types[] = { "m.room.join_rules", "m.room.history_visibility" };
  gint64 syms[G_N_ELEMENTS (types)];
  if (!cm_sym_many (node->ids, types, G_N_ELEMENTS (types), syms, error))
    return FALSE;
  search->join_rules = syms[0];
  search->history_visibility = syms[1];
  return TRUE;
}

/* POST /_matrix/client/v3/user_directory/search */
static CmReply *
search_users (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const CmJson *body = cm_call_json (call);
  CmUserSearch search = { .user = cm_call_requester (call)->user };
  if (!cm_body_need_text (body, "search_term", MAX_TERM, &search.term, error) ||
      !read_limit (body, &search.limit, error) || !find_types (node, &search, error))
    return NULL;
  if (search.term[0] == '@')
    search.term++;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (GPtrArray) found = db ? cm_user_directory_search (db, &search, error) : NULL;
  return found ? reply (found, search.limit) : NULL;
}

const CmRoute cm_routes_user_directory[] = {
  { "POST", "/_matrix/client/v3/user_directory/search", CM_AUTH_TOKEN, CM_LIMIT_HEAVY,
    CM_LANE_CLIENT, CM_BODY_JSON, search_users },
  CM_ROUTES_END,
};

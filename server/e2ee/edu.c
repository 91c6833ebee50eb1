#include "server/e2ee/edu.h"

#include "crypto/id.h"
#include "crypto/json-writer.h"
#include "schema/committer.h"
#include "schema/cross-signing.h"
#include "schema/device-list.h"
#include "schema/remote-device.h"
#include "schema/to-device.h"
#include "server/e2ee/cross-signing.h"
#include "server/e2ee/device-lists.h"
#include "server/e2ee/remote-keys.h"
#include "server/e2ee/signed-key.h"
#include "server/e2ee/to-device.h"

#include <string.h>

#define MAX_RECIPIENTS 10000

static gboolean
is_of (const char *user_id, const char *origin)
{
  return cm_id_is_user (user_id) && cm_id_domain_is (user_id, origin);
}

/* Adds what is for one user of this server; what is malformed or too large is left out. */
static gboolean
deliver (CmNode *node, CmWrite *write, const CmJson *content, const char *user_id,
         const CmJson *by_device, GError **error)
{
  const CmJson *message;
  CmJsonIter iter;

  cm_json_iter_init (&iter, by_device);
  while (cm_json_iter_next (&iter, NULL, &message)) {
    const char *device_id = cm_json_text (iter.key);
    g_autoptr (GError) failure = NULL;
    if (device_id == NULL || cm_json_type (message) != CM_JSON_OBJECT ||
        cm_to_device_put (node, write, cm_json_get_text (content, "sender"),
                          cm_json_get_text (content, "type"), user_id, device_id, message,
                          &failure) ||
        failure->code == CM_ERROR_TOO_LARGE)
      continue;
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  return TRUE;
}

static gboolean
deliver_all (CmNode *node, CmWrite *write, const CmJson *content, GError **error)
{
  const CmJson *by_device;
  gsize recipients = 0;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_object (content, "messages"));
  while (cm_json_iter_next (&iter, NULL, &by_device)) {
    const char *user_id = cm_json_text (iter.key);
    if (!is_of (user_id, node->server_name) || cm_json_type (by_device) != CM_JSON_OBJECT)
      continue;
    recipients += cm_json_length (by_device);
    if (recipients > MAX_RECIPIENTS)
      break;
    if (!deliver (node, write, content, user_id, by_device, error))
      return FALSE;
  }
  return TRUE;
}

/* Commits @write; *@conflict says that a fence stood in its way, which is no error here. */
static gboolean
commit (CmNode *node, CmWrite *write, gboolean *conflict, GError **error)
{
  GError *failure = NULL;

  *conflict = FALSE;
  if (cm_committer_commit (node->committer, write, &failure) >= 0)
    return TRUE;
  *conflict = g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT);
  if (*conflict)
    g_error_free (failure);
  else
    g_propagate_error (error, failure);
  return *conflict;
}

/* server-server, "Send-to-device messaging": the message id tells a message from its repetition. */
static gboolean
receive_direct_to_device (CmNode *node, const char *origin, const CmJson *content, GError **error)
{
  const char *message_id = cm_json_get_text (content, "message_id");
  g_autoptr (CmWrite) write = cm_write_new ();
  gboolean repeated;

  if (!is_of (cm_json_get_text (content, "sender"), origin) || message_id == NULL ||
      strlen (message_id) > CM_ID_MAX_BYTES || cm_json_get_text (content, "type") == NULL)
    return TRUE;
  cm_mailbox_remember (write, origin, message_id, g_get_real_time () / 1000);
  return deliver_all (node, write, content, error) &&
         commit (node, g_steal_pointer (&write), &repeated, error);
}

/* What is told of a user whom nobody here knows is nobody's concern. */
static gboolean
find_near (CmNode *node, const char *user_id, gboolean *near, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL && cm_user_is_near (db, user_id, near, error);
}

static gboolean
find_list (CmNode *node, const char *user_id, gboolean *fresh, gint64 *stream_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL && cm_remote_list_find (db, user_id, fresh, stream_id, error);
}

/* Whether an update follows on number @known: "prev_id" names nothing that was missed. Some servers
 * number their users' updates together, and give the list a number of no update. */
static gboolean
follows (const CmJson *content, gint64 known)
{
  const CmJson *previous;
  gint64 number;
  CmJsonIter iter;

  if (cm_json_get_integer (content, "stream_id", 0) <= known)
    return FALSE;
  cm_json_iter_init (&iter, cm_json_get_array (content, "prev_id"));
  while (cm_json_iter_next (&iter, NULL, &previous))
    if (!cm_json_integer (previous, &number) || number > known)
      return FALSE;
  return TRUE;
}

static gboolean
put_update (CmWrite *write, const char *user_id, const char *device_id, const CmJson *content)
{
  if (cm_json_get_boolean (content, "deleted", FALSE)) {
    cm_remote_device_delete (write, user_id, device_id);
    return TRUE;
  }
  return cm_told_device_put (write, user_id, device_id, cm_json_get (content, "keys"),
                             cm_json_get_text (content, "device_display_name"));
}

/* *@applied: the update followed on what is kept, and is kept. */
static gboolean
apply_update (CmNode *node, const char *user_id, const CmJson *content, gboolean *applied,
              GError **error)
{
  const char *device_id = cm_json_get_text (content, "device_id");
  g_autoptr (CmWrite) write = cm_write_new ();
  gboolean fresh, conflict;
  gint64 known;

  *applied = FALSE;
  if (!find_list (node, user_id, &fresh, &known, error))
    return FALSE;
  if (!fresh || !follows (content, known) || device_id == NULL ||
      !put_update (write, user_id, device_id, content))
    return TRUE;
  cm_remote_list_advance (write, user_id, known, cm_json_get_integer (content, "stream_id", 0));
  if (!cm_device_lists_remote_changed (node, write, user_id, error) ||
      !commit (node, g_steal_pointer (&write), &conflict, error))
    return FALSE;
  *applied = !conflict;
  return TRUE;
}

/* server-server, "Device Management": an update that does not follow on what is known says that
 * others were lost, and the whole list is asked for. */
static gboolean
receive_device_list_update (CmNode *node, const char *origin, const CmJson *content, GError **error)
{
  const char *user_id = cm_json_get_text (content, "user_id");
  gint64 stream_id = cm_json_get_integer (content, "stream_id", -1);
  gboolean near, applied;

  if (!is_of (user_id, origin) || stream_id < 0)
    return TRUE;
  if (!find_near (node, user_id, &near, error))
    return FALSE;
  if (!near)
    return TRUE;
  if (!apply_update (node, user_id, content, &applied, error))
    return FALSE;
  if (applied)
    return TRUE;
  g_autoptr (CmWrite) write = cm_write_new ();
  cm_remote_list_mark_stale (write, user_id, stream_id);
  if (!cm_device_lists_remote_changed (node, write, user_id, error) ||
      cm_committer_commit (node->committer, g_steal_pointer (&write), error) < 0)
    return FALSE;
  cm_remote_keys_resync (node->remote_keys, user_id);
  return TRUE;
}

static void
put_signing_key (CmWrite *write, const char *user_id, CmSigningUsage usage, const CmJson *key,
                 gint64 offset)
{
  g_autoptr (GBytes) bytes = cm_told_signing_key (user_id, key);

  if (bytes != NULL)
    cm_cross_signing_key_put (write, user_id, cm_signing_usage (usage), bytes, offset);
}

static gboolean
receive_signing_key_update (CmNode *node, const char *origin, const CmJson *content, GError **error)
{
  const char *user_id = cm_json_get_text (content, "user_id");
  g_autoptr (CmWrite) write = cm_write_new ();
  gboolean near;

  if (!is_of (user_id, origin))
    return TRUE;
  if (!find_near (node, user_id, &near, error))
    return FALSE;
  if (!near)
    return TRUE;
  gint64 offset = cm_write_take_positions (write, 1);
  put_signing_key (write, user_id, CM_SIGNING_MASTER, cm_json_get_object (content, "master_key"),
                   offset);
  put_signing_key (write, user_id, CM_SIGNING_SELF,
                   cm_json_get_object (content, "self_signing_key"), offset);
  return cm_device_lists_remote_changed (node, write, user_id, error) &&
         cm_committer_commit (node->committer, g_steal_pointer (&write), error) >= 0;
}

static const struct {
  const char *type;
  gboolean (*receive) (CmNode *node, const char *origin, const CmJson *content, GError **error);
} kinds[] = {
  { "m.direct_to_device", receive_direct_to_device },
  { "m.device_list_update", receive_device_list_update },
  { "m.signing_key_update", receive_signing_key_update },
};

gboolean
cm_e2ee_receive_edu (CmNode *node, const char *origin, const char *type, const CmJson *content,
                     GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (strcmp (kinds[i].type, type) == 0)
      return kinds[i].receive (node, origin, content, error);
  return TRUE;
}

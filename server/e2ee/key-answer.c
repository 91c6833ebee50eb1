#include "server/e2ee/key-answer.h"

#include "crypto/id.h"
#include "schema/cross-signing.h"
#include "schema/device-key.h"
#include "schema/remote-device.h"
#include "server/config/config.h"
#include "server/e2ee/signed-key.h"

#include <string.h>

/* Members of the answer, each user -> CmJsonWriter or GBytes. */
enum { MASTER_KEYS, SELF_SIGNING_KEYS, USER_SIGNING_KEYS, N_USAGES };

static const struct {
  const char *member;
  const char *usage;
} usages[N_USAGES] = {
  { "master_keys", "master" },
  { "self_signing_keys", "self_signing" },
  { "user_signing_keys", "user_signing" },
};

struct _CmKeyAnswer {
  CmNode *node;
  const CmJson *wanted;
  char *viewer;
  GHashTable *devices;           /* user id -> CmJsonWriter with an open object */
  GHashTable *signing[N_USAGES]; /* user id -> GBytes */
  GHashTable *failures;          /* a set of server names */
};

gboolean
cm_key_answer_check (const CmJson *wanted, GError **error)
{
  gboolean good = cm_json_type (wanted) == CM_JSON_OBJECT;
  const CmJson *list, *device;
  CmJsonIter users, devices;

  cm_json_iter_init (&users, wanted);
  while (good && cm_json_iter_next (&users, NULL, &list)) {
    good = cm_id_is_user (cm_json_text (users.key)) && cm_json_type (list) == CM_JSON_ARRAY;
    cm_json_iter_init (&devices, list);
    while (good && cm_json_iter_next (&devices, NULL, &device))
      good = cm_json_text (device) != NULL;
  }
  if (!good)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON,
                         "device_keys must hold a list of device ids for each user id");
  return good;
}

CmKeyAnswer *
cm_key_answer_new (CmNode *node, const CmJson *wanted, const char *viewer)
{
  CmKeyAnswer *answer = g_new0 (CmKeyAnswer, 1);

  answer->node = node;
  answer->wanted = wanted;
  answer->viewer = g_strdup (viewer);
  answer->devices =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) cm_json_writer_free);
  for (gsize i = 0; i < N_USAGES; i++)
    answer->signing[i] =
        g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_bytes_unref);
  answer->failures = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return answer;
}

void
cm_key_answer_free (CmKeyAnswer *answer)
{
  g_hash_table_unref (answer->devices);
  for (gsize i = 0; i < N_USAGES; i++)
    g_hash_table_unref (answer->signing[i]);
  g_hash_table_unref (answer->failures);
  g_free (answer->viewer);
  g_free (answer);
}

static gboolean
is_wanted (const CmKeyAnswer *answer, const char *user_id, const char *device_id)
{
  const CmJson *list = cm_json_get (answer->wanted, user_id);
  const CmJson *item;
  CmJsonIter iter;

  if (cm_json_length (list) == 0)
    return TRUE;
  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (g_strcmp0 (cm_json_text (item), device_id) == 0)
      return TRUE;
  return FALSE;
}

/* A user who was asked for is in the answer, with or without devices. */
static void
add_user (CmKeyAnswer *answer, const char *user_id)
{
  CmJsonWriter *writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  g_hash_table_replace (answer->devices, g_strdup (user_id), writer);
}

static void
add_device (CmKeyAnswer *answer, const char *user_id, const char *device_id, const CmJson *keys,
            const CmKeySignatures *signatures, const char *display_name)
{
  CmJsonWriter *writer = g_hash_table_lookup (answer->devices, user_id);
  gboolean shown = answer->viewer != NULL || answer->node->config->federation.device_names;

  if (writer == NULL || !is_wanted (answer, user_id, device_id))
    return;
  cm_json_open_object (writer, device_id);
  cm_signed_key_put_members (writer, keys, signatures, user_id, device_id);
  cm_json_open_object (writer, "unsigned");
  cm_json_put_text (writer, "device_display_name", shown ? display_name : NULL);
  cm_json_close (writer);
  cm_json_close (writer);
}

/* The user-signing key tells whom its owner has verified: it is nobody else's business. */
static void
add_signing_key (CmKeyAnswer *answer, gsize usage, const char *user_id, const CmJson *key,
                 const CmKeySignatures *signatures)
{
  const char *public_key = cm_signed_key_public (key);

  if (public_key == NULL ||
      (usage == USER_SIGNING_KEYS && g_strcmp0 (user_id, answer->viewer) != 0))
    return;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_signed_key_put (writer, NULL, key, signatures, user_id, public_key);
  g_hash_table_replace (answer->signing[usage], g_strdup (user_id), cm_json_writer_end (writer));
}

/* NULL for a bad row, which must not hide the others. */
static CmJsonDoc *
parse_cell (const CmRows *rows, gsize row, int column)
{
  gsize length;
  const void *bytes = cm_rows_data (rows, row, column, &length);

  return bytes != NULL ? cm_json_parse (bytes, length, NULL) : NULL;
}

static void
add_signing_rows (CmKeyAnswer *answer, const CmRows *rows, const CmKeySignatures *signatures)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    g_autoptr (CmJsonDoc) key = parse_cell (rows, i, 2);
    for (gsize usage = 0; key != NULL && usage < N_USAGES; usage++)
      if (strcmp (usages[usage].usage, cm_rows_text (rows, i, 1)) == 0)
        add_signing_key (answer, usage, cm_rows_text (rows, i, 0), cm_json_doc_root (key),
                         signatures);
  }
}

typedef CmRows *(*FindDevices) (CmDb *db, char **user_ids, GError **error);

static gboolean
add_stored (CmKeyAnswer *answer, char **user_ids, FindDevices find, GError **error)
{
  if (user_ids[0] == NULL)
    return TRUE;
  g_autoptr (CmDb) db = cm_pool_get (answer->node->pool, error);
  g_autoptr (CmRows) devices = db != NULL ? find (db, user_ids, error) : NULL;
  g_autoptr (CmRows) keys =
      devices != NULL ? cm_cross_signing_keys_find (db, user_ids, error) : NULL;
  g_autoptr (CmRows) signatures =
      keys != NULL ? cm_key_signatures_find (db, user_ids, answer->viewer, error) : NULL;

  if (signatures == NULL)
    return FALSE;
  for (gsize i = 0; user_ids[i] != NULL; i++)
    add_user (answer, user_ids[i]);
  for (gsize i = 0; i < cm_rows_count (devices); i++) {
    g_autoptr (CmJsonDoc) device = parse_cell (devices, i, 2);
    if (device != NULL)
      add_device (answer, cm_rows_text (devices, i, 0), cm_rows_text (devices, i, 1),
                  cm_json_doc_root (device), signatures, cm_rows_text (devices, i, 3));
  }
  add_signing_rows (answer, keys, signatures);
  return TRUE;
}

gboolean
cm_key_answer_add_local (CmKeyAnswer *answer, char **user_ids, GError **error)
{
  return add_stored (answer, user_ids, cm_device_keys_find, error);
}

gboolean
cm_key_answer_add_kept (CmKeyAnswer *answer, char **user_ids, GError **error)
{
  return add_stored (answer, user_ids, cm_remote_devices_find, error);
}

static void
add_told_devices (CmKeyAnswer *answer, const char *user_id, const CmJson *devices,
                  const CmKeySignatures *signatures)
{
  const CmJson *device;
  CmJsonIter iter;

  add_user (answer, user_id);
  cm_json_iter_init (&iter, devices);
  while (cm_json_iter_next (&iter, NULL, &device)) {
    const char *device_id = cm_json_text (iter.key);
    if (cm_device_keys_are_of (device, user_id, device_id))
      add_device (answer, user_id, device_id, device, signatures,
                  cm_json_get_text (cm_json_get (device, "unsigned"), "device_display_name"));
  }
}

gboolean
cm_key_answer_add_told (CmKeyAnswer *answer, char **user_ids, const CmJson *body, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (answer->node->pool, error);
  g_autoptr (CmRows) signatures =
      db != NULL ? cm_key_signatures_find (db, user_ids, answer->viewer, error) : NULL;

  if (signatures == NULL)
    return FALSE;
  for (gsize i = 0; user_ids[i] != NULL; i++) {
    const char *user_id = user_ids[i];
    add_told_devices (answer, user_id,
                      cm_json_get_object (cm_json_get (body, "device_keys"), user_id), signatures);
    for (gsize usage = MASTER_KEYS; usage <= SELF_SIGNING_KEYS; usage++) {
      const CmJson *key = cm_json_get_object (cm_json_get (body, usages[usage].member), user_id);
      if (g_strcmp0 (cm_json_get_text (key, "user_id"), user_id) == 0)
        add_signing_key (answer, usage, user_id, key, signatures);
    }
  }
  return TRUE;
}

void
cm_key_answer_add_failure (CmKeyAnswer *answer, const char *server)
{
  g_hash_table_add (answer->failures, g_strdup (server));
}

static void
put_devices (const CmKeyAnswer *answer, CmJsonWriter *writer)
{
  GHashTableIter iter;
  const char *user_id;
  CmJsonWriter *devices;

  cm_json_open_object (writer, "device_keys");
  g_hash_table_iter_init (&iter, answer->devices);
  while (g_hash_table_iter_next (&iter, (gpointer *) &user_id, (gpointer *) &devices)) {
    cm_json_close (devices);
    g_autoptr (GBytes) bytes = cm_json_writer_end (devices);
    cm_json_put_bytes (writer, user_id, bytes);
  }
  cm_json_close (writer);
}

static void
put_failures (const CmKeyAnswer *answer, CmJsonWriter *writer)
{
  GHashTableIter iter;
  const char *server;

  cm_json_open_object (writer, "failures");
  g_hash_table_iter_init (&iter, answer->failures);
  while (g_hash_table_iter_next (&iter, (gpointer *) &server, NULL)) {
    cm_json_open_object (writer, server);
    cm_json_close (writer);
  }
  cm_json_close (writer);
}

CmJsonWriter *
cm_key_answer_write (const CmKeyAnswer *answer)
{
  gsize shown = answer->viewer != NULL ? N_USAGES : USER_SIGNING_KEYS;
  CmJsonWriter *writer = cm_json_writer_new ();
  GHashTableIter iter;
  const char *user_id;
  GBytes *key;

  cm_json_open_object (writer, NULL);
  put_devices (answer, writer);
  for (gsize usage = 0; usage < shown; usage++) {
    cm_json_open_object (writer, usages[usage].member);
    g_hash_table_iter_init (&iter, answer->signing[usage]);
    while (g_hash_table_iter_next (&iter, (gpointer *) &user_id, (gpointer *) &key))
      cm_json_put_bytes (writer, user_id, key);
    cm_json_close (writer);
  }
  if (answer->viewer != NULL)
    put_failures (answer, writer);
  cm_json_close (writer);
  return writer;
}

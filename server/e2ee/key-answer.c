#include "server/e2ee/key-answer.h"

#include "crypto/id.h"
#include "schema/cross-signing.h"
#include "schema/device-key.h"
#include "schema/remote-device.h"
#include "server/config/config.h"

#include <string.h>

/* Members of the answer, each user -> GBytes. */
enum { DEVICE_KEYS, MASTER_KEYS, SELF_SIGNING_KEYS, USER_SIGNING_KEYS, N_PARTS };

static const struct {
  const char *member;
  const char *usage;
} parts[N_PARTS] = {
  { "device_keys", NULL },
  { "master_keys", "master" },
  { "self_signing_keys", "self_signing" },
  { "user_signing_keys", "user_signing" },
};

struct _CmKeyAnswer {
  CmNode *node;
  char *viewer;
  GHashTable *part[N_PARTS];
  GHashTable *failures; /* a set of server names */
};

CmKeyAnswer *
cm_key_answer_new (CmNode *node, const char *viewer)
{
  CmKeyAnswer *answer = g_new0 (CmKeyAnswer, 1);

  answer->node = node;
  answer->viewer = g_strdup (viewer);
  for (gsize i = 0; i < N_PARTS; i++)
    answer->part[i] =
        g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_bytes_unref);
  answer->failures = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return answer;
}

void
cm_key_answer_free (CmKeyAnswer *answer)
{
  for (gsize i = 0; i < N_PARTS; i++)
    g_hash_table_unref (answer->part[i]);
  g_hash_table_unref (answer->failures);
  g_free (answer->viewer);
  g_free (answer);
}

static gboolean
is_signature_of (const CmRows *rows, gsize row, const char *target, const char *user)
{
  return strcmp (cm_rows_text (rows, row, 0), target) == 0 &&
         (user == NULL || strcmp (cm_rows_text (rows, row, 1), user) == 0);
}

/* The stored signatures of one signer that the object does not hold itself. */
static void
put_stored_signatures (CmJsonWriter *writer, const CmRows *rows, const char *target,
                       const char *user, const CmJson *own)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    if (is_signature_of (rows, i, target, user) &&
        cm_json_get (own, cm_rows_text (rows, i, 2)) == NULL)
      cm_json_put_text (writer, cm_rows_text (rows, i, 2), cm_rows_text (rows, i, 3));
}

static void
put_signatures (CmJsonWriter *writer, const CmJson *signatures, const CmRows *rows,
                const char *target)
{
  const CmJson *own, *signature;
  const char *user, *previous = NULL;
  CmJsonIter iter, keys;

  cm_json_open_object (writer, "signatures");
  cm_json_iter_init (&iter, signatures);
  while (cm_json_iter_next (&iter, &user, &own)) {
    cm_json_open_object (writer, user);
    cm_json_iter_init (&keys, own);
    while (cm_json_iter_next (&keys, NULL, &signature))
      cm_json_put_member (writer, keys.key, signature);
    put_stored_signatures (writer, rows, target, user, own);
    cm_json_close (writer);
  }
  /* Rows are sorted by signer. */
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    const char *signer = cm_rows_text (rows, i, 1);
    if (!is_signature_of (rows, i, target, NULL) || g_strcmp0 (previous, signer) == 0 ||
        cm_json_get (signatures, signer) != NULL)
      continue;
    cm_json_open_object (writer, signer);
    put_stored_signatures (writer, rows, target, signer, NULL);
    cm_json_close (writer);
    previous = signer;
  }
  cm_json_close (writer);
}

/* A key object with all the signatures that the viewer may see, and the device's name. */
static void
put_key (CmJsonWriter *writer, const char *member, const CmJson *key, const CmRows *signatures,
         const char *target, const char *display_name)
{
  const CmJson *value;
  const char *name;
  CmJsonIter iter;

  cm_json_open_object (writer, member);
  cm_json_iter_init (&iter, key);
  while (cm_json_iter_next (&iter, &name, &value))
    if (strcmp (name, "signatures") != 0 && strcmp (name, "unsigned") != 0)
      cm_json_put_member (writer, iter.key, value);
  put_signatures (writer, cm_json_get_object (key, "signatures"), signatures, target);
  if (display_name != NULL) {
    cm_json_open_object (writer, "unsigned");
    cm_json_put_text (writer, "device_display_name", display_name);
    cm_json_close (writer);
  }
  cm_json_close (writer);
}

static gboolean
shows_names (const CmKeyAnswer *answer)
{
  return answer->viewer != NULL || answer->node->config->federation.device_names;
}

static void
add_devices (CmKeyAnswer *answer, const char *user_id, const CmRows *devices,
             const CmRows *signatures)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  for (gsize i = 0; i < cm_rows_count (devices); i++) {
    const char *device_id = cm_rows_text (devices, i, 0);
    gsize length;
    const void *bytes = cm_rows_data (devices, i, 1, &length);
    g_autoptr (CmJsonDoc) keys = cm_json_parse (bytes, length, NULL);
    /* One bad row must not hide the user's other devices. */
    if (keys != NULL)
      put_key (writer, device_id, cm_json_doc_root (keys), signatures, device_id,
               shows_names (answer) ? cm_rows_text (devices, i, 2) : NULL);
  }
  cm_json_close (writer);
  g_hash_table_replace (answer->part[DEVICE_KEYS], g_strdup (user_id), cm_json_writer_end (writer));
}

/* The public part of a cross-signing key: what signatures on it are filed under. */
static const char *
public_part (const CmJson *key)
{
  CmJsonIter iter;
  const CmJson *value;

  cm_json_iter_init (&iter, cm_json_get_object (key, "keys"));
  return cm_json_iter_next (&iter, NULL, &value) ? cm_json_text (value) : NULL;
}

static void
add_cross_signing_key (CmKeyAnswer *answer, gsize part, const char *user_id, const CmJson *key,
                       const CmRows *signatures)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const char *target = public_part (key);

  /* The user-signing key tells whom its owner has verified: it is nobody else's business. */
  if (target == NULL || (part == USER_SIGNING_KEYS && g_strcmp0 (user_id, answer->viewer) != 0))
    return;
  put_key (writer, NULL, key, signatures, target, NULL);
  g_hash_table_replace (answer->part[part], g_strdup (user_id), cm_json_writer_end (writer));
}

static void
add_cross_signing_keys (CmKeyAnswer *answer, const char *user_id, const CmRows *rows,
                        const CmRows *signatures)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    gsize length;
    const void *bytes = cm_rows_data (rows, i, 1, &length);
    g_autoptr (CmJsonDoc) key = cm_json_parse (bytes, length, NULL);
    for (gsize part = MASTER_KEYS; key != NULL && part < N_PARTS; part++)
      if (strcmp (parts[part].usage, cm_rows_text (rows, i, 0)) == 0)
        add_cross_signing_key (answer, part, user_id, cm_json_doc_root (key), signatures);
  }
}

gboolean
cm_key_answer_add_stored (CmKeyAnswer *answer, const char *user_id, char **device_ids,
                          GError **error)
{
  gboolean local = cm_id_domain_is (user_id, answer->node->server_name);
  g_autoptr (CmDb) db = cm_pool_get (answer->node->pool, error);

  if (db == NULL)
    return FALSE;
  g_autoptr (CmRows) devices = local ? cm_device_keys_find (db, user_id, device_ids, error)
                                     : cm_remote_devices_find (db, user_id, device_ids, error);
  g_autoptr (CmRows) keys =
      devices != NULL ? cm_cross_signing_keys_find (db, user_id, error) : NULL;
  g_autoptr (CmRows) signatures =
      keys != NULL ? cm_key_signatures_find (db, user_id, answer->viewer, error) : NULL;
  if (signatures == NULL)
    return FALSE;
  add_devices (answer, user_id, devices, signatures);
  add_cross_signing_keys (answer, user_id, keys, signatures);
  return TRUE;
}

/* Devices as another server tells them: each must say of itself whose it is. */
static void
add_told_devices (CmKeyAnswer *answer, const char *user_id, const CmJson *devices,
                  const CmRows *signatures)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *device;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&iter, devices);
  while (cm_json_iter_next (&iter, NULL, &device)) {
    const char *device_id = cm_json_text (iter.key);
    if (device_id != NULL && g_strcmp0 (cm_json_get_text (device, "user_id"), user_id) == 0 &&
        g_strcmp0 (cm_json_get_text (device, "device_id"), device_id) == 0)
      put_key (writer, device_id, device, signatures, device_id,
               cm_json_get_text (cm_json_get (device, "unsigned"), "device_display_name"));
  }
  cm_json_close (writer);
  g_hash_table_replace (answer->part[DEVICE_KEYS], g_strdup (user_id), cm_json_writer_end (writer));
}

gboolean
cm_key_answer_add_remote (CmKeyAnswer *answer, const char *user_id, const CmJson *body,
                          GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (answer->node->pool, error);
  g_autoptr (CmRows) signatures =
      db != NULL ? cm_key_signatures_find (db, user_id, answer->viewer, error) : NULL;

  if (signatures == NULL)
    return FALSE;
  add_told_devices (answer, user_id,
                    cm_json_get_object (cm_json_get (body, "device_keys"), user_id), signatures);
  for (gsize part = MASTER_KEYS; part <= SELF_SIGNING_KEYS; part++) {
    const CmJson *key = cm_json_get_object (cm_json_get (body, parts[part].member), user_id);
    if (g_strcmp0 (cm_json_get_text (key, "user_id"), user_id) == 0)
      add_cross_signing_key (answer, part, user_id, key, signatures);
  }
  return TRUE;
}

void
cm_key_answer_add_failure (CmKeyAnswer *answer, const char *server)
{
  g_hash_table_add (answer->failures, g_strdup (server));
}

void
cm_key_answer_put (const CmKeyAnswer *answer, CmJsonWriter *writer)
{
  gsize n_parts = answer->viewer != NULL ? N_PARTS : USER_SIGNING_KEYS;
  GHashTableIter iter;
  const char *name;
  GBytes *value;

  for (gsize part = 0; part < n_parts; part++) {
    cm_json_open_object (writer, parts[part].member);
    g_hash_table_iter_init (&iter, answer->part[part]);
    while (g_hash_table_iter_next (&iter, (gpointer *) &name, (gpointer *) &value))
      cm_json_put_bytes (writer, name, value);
    cm_json_close (writer);
  }
  if (answer->viewer == NULL)
    return;
  cm_json_open_object (writer, "failures");
  g_hash_table_iter_init (&iter, answer->failures);
  while (g_hash_table_iter_next (&iter, (gpointer *) &name, NULL)) {
    cm_json_open_object (writer, name);
    cm_json_close (writer);
  }
  cm_json_close (writer);
}

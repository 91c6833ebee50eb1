#include "server/e2ee/signed-key.h"

#include "crypto/id.h"
#include "schema/remote-device.h"

#include <string.h>

/* Bytes of what other servers tell of one device or key. */
#define MAX_KEY_BYTES 65536
#define MAX_NAME      512

/* Columns of cm_key_signatures_find. */
enum { TARGET_USER, TARGET_KEY, SIGNER_USER, SIGNER_KEY, SIGNATURE };

/* Rows from @first to before @end. */
typedef struct {
  const CmKeySignatures *rows;
  gsize first;
  gsize end;
} Slice;

static int
compare (const CmKeySignatures *rows, gsize row, const char *user_id, const char *target)
{
  int order = strcmp (cm_rows_text (rows, row, TARGET_USER), user_id);

  return order != 0 ? order : strcmp (cm_rows_text (rows, row, TARGET_KEY), target);
}

/* The signatures on one key: the rows are sorted by it. */
static Slice
find_slice (const CmKeySignatures *rows, const char *user_id, const char *target)
{
  Slice slice = { .rows = rows };
  gsize end = rows != NULL ? cm_rows_count (rows) : 0;

  while (slice.first < end) {
    gsize middle = slice.first + (end - slice.first) / 2;
    if (compare (rows, middle, user_id, target) < 0)
      slice.first = middle + 1;
    else
      end = middle;
  }
  slice.end = slice.first;
  while (rows != NULL && slice.end < cm_rows_count (rows) &&
         compare (rows, slice.end, user_id, target) == 0)
    slice.end++;
  return slice;
}

/* One signer's of @slice, where @own, what the object holds of him itself, has none. */
static void
put_added (CmJsonWriter *writer, const Slice *slice, const char *signer, const CmJson *own)
{
  for (gsize i = slice->first; i < slice->end; i++) {
    const char *key_id = cm_rows_text (slice->rows, i, SIGNER_KEY);
    if (strcmp (cm_rows_text (slice->rows, i, SIGNER_USER), signer) == 0 &&
        cm_json_get (own, key_id) == NULL)
      cm_json_put_text (writer, key_id, cm_rows_text (slice->rows, i, SIGNATURE));
  }
}

static void
put_signer (CmJsonWriter *writer, const char *signer, const CmJson *own, const Slice *slice)
{
  const CmJson *signature;
  CmJsonIter iter;

  cm_json_open_object (writer, signer);
  cm_json_iter_init (&iter, own);
  while (cm_json_iter_next (&iter, NULL, &signature))
    cm_json_put_member (writer, iter.key, signature);
  put_added (writer, slice, signer, own);
  cm_json_close (writer);
}

static void
put_signatures (CmJsonWriter *writer, const CmJson *signatures, const Slice *slice)
{
  const char *signer, *previous = NULL;
  const CmJson *own;
  CmJsonIter iter;

  cm_json_open_object (writer, "signatures");
  cm_json_iter_init (&iter, signatures);
  while (cm_json_iter_next (&iter, NULL, &own)) {
    signer = cm_json_text (iter.key);
    if (signer != NULL && cm_json_type (own) == CM_JSON_OBJECT)
      put_signer (writer, signer, own, slice);
  }
  for (gsize i = slice->first; i < slice->end; i++) {
    signer = cm_rows_text (slice->rows, i, SIGNER_USER);
    if (g_strcmp0 (previous, signer) != 0 && cm_json_get (signatures, signer) == NULL)
      put_signer (writer, signer, NULL, slice);
    previous = signer;
  }
  cm_json_close (writer);
}

void
cm_signed_key_put_members (CmJsonWriter *writer, const CmJson *key,
                           const CmKeySignatures *signatures, const char *user_id,
                           const char *target)
{
  const CmJson *held = cm_json_get_object (key, "signatures");
  Slice slice = find_slice (signatures, user_id, target);
  const CmJson *value;
  const char *name;
  CmJsonIter iter;

  cm_json_iter_init (&iter, key);
  while (cm_json_iter_next (&iter, &name, &value))
    if (strcmp (name, "signatures") != 0 && strcmp (name, "unsigned") != 0)
      cm_json_put_member (writer, iter.key, value);
  if (held != NULL || slice.first < slice.end)
    put_signatures (writer, held, &slice);
}

void
cm_signed_key_put (CmJsonWriter *writer, const char *member, const CmJson *key,
                   const CmKeySignatures *signatures, const char *user_id, const char *target)
{
  cm_json_open_object (writer, member);
  cm_signed_key_put_members (writer, key, signatures, user_id, target);
  cm_json_close (writer);
}

GBytes *
cm_signed_key_merge (GBytes *key, const CmKeySignatures *signatures, const char *user_id,
                     const char *target)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (key, NULL);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (doc == NULL)
    return NULL;
  cm_signed_key_put (writer, NULL, cm_json_doc_root (doc), signatures, user_id, target);
  return cm_json_writer_end (writer);
}

const char *
cm_signed_key_public (const CmJson *key)
{
  const CmJson *value;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_object (key, "keys"));
  return cm_json_iter_next (&iter, NULL, &value) ? cm_json_text (value) : NULL;
}

/* A member that names the owner must name the right one; what has none clients will not use. */
gboolean
cm_device_keys_are_of (const CmJson *keys, const char *user_id, const char *device_id)
{
  const CmJson *user = cm_json_get (keys, "user_id");
  const CmJson *device = cm_json_get (keys, "device_id");

  return cm_json_type (keys) == CM_JSON_OBJECT && device_id != NULL &&
         (user == NULL || g_strcmp0 (cm_json_text (user), user_id) == 0) &&
         (device == NULL || g_strcmp0 (cm_json_text (device), device_id) == 0);
}

/* (transfer full) NULL for what cannot be signed JSON, or is too large. */
static GBytes *
read_told (const CmJson *key)
{
  g_autoptr (GBytes) bytes = key != NULL ? cm_json_canonical (key, NULL, NULL) : NULL;

  return bytes != NULL && g_bytes_get_size (bytes) <= MAX_KEY_BYTES ? g_steal_pointer (&bytes)
                                                                    : NULL;
}

gboolean
cm_told_device_put (CmWrite *write, const char *user_id, const char *device_id, const CmJson *keys,
                    const char *display_name)
{
  g_autoptr (GBytes) bytes = read_told (keys);

  if (device_id == NULL || strlen (device_id) > CM_ID_MAX_BYTES ||
      (keys != NULL && (bytes == NULL || !cm_device_keys_are_of (keys, user_id, device_id))))
    return FALSE;
  /* What is too long is no name. */
  if (display_name != NULL && strlen (display_name) > MAX_NAME)
    display_name = NULL;
  cm_remote_device_put (write, user_id, device_id, display_name, bytes);
  return TRUE;
}

GBytes *
cm_told_signing_key (const char *user_id, const CmJson *key)
{
  return g_strcmp0 (cm_json_get_text (key, "user_id"), user_id) == 0 &&
                 cm_signed_key_public (key) != NULL
             ? read_told (key)
             : NULL;
}

gboolean
cm_signed_key_check_texts (const CmJson *container, GError **error)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, container);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    if (cm_json_text (item) == NULL) {
      g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON,
                           "Keys, signatures and algorithms must be strings");
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
check_signatures (const CmJson *signatures, GError **error)
{
  gboolean good = signatures == NULL || cm_json_type (signatures) == CM_JSON_OBJECT;
  const CmJson *by_key;
  CmJsonIter iter;

  cm_json_iter_init (&iter, signatures);
  while (good && cm_json_iter_next (&iter, NULL, &by_key)) {
    good = cm_json_text (iter.key) != NULL && cm_json_type (by_key) == CM_JSON_OBJECT;
    if (good && !cm_signed_key_check_texts (by_key, error))
      return FALSE;
  }
  if (!good)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON,
                         "signatures must be an object of objects");
  return good;
}

gboolean
cm_signed_key_check (const CmJson *key, gsize max_bytes, GError **error)
{
  if (!check_signatures (cm_json_get (key, "signatures"), error))
    return FALSE;
  g_autoptr (GBytes) bytes = cm_json_canonical (key, NULL, error);
  if (bytes == NULL)
    return FALSE;
  if (g_bytes_get_size (bytes) > max_bytes) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "A key is too large");
    return FALSE;
  }
  return TRUE;
}

/* Whether @a has all that is signed in @b. */
static gboolean
covers (const CmJson *a, const CmJson *b)
{
  const CmJson *value;
  const char *name;
  CmJsonIter iter;

  cm_json_iter_init (&iter, b);
  while (cm_json_iter_next (&iter, &name, &value))
    if (strcmp (name, "signatures") != 0 && strcmp (name, "unsigned") != 0 &&
        !cm_json_equal (cm_json_get (a, name), value))
      return FALSE;
  return TRUE;
}

gboolean
cm_signed_key_same (const CmJson *a, const CmJson *b)
{
  return a != NULL && b != NULL && covers (a, b) && covers (b, a);
}

#include "crypto/olm/account-private.h"

#include "crypto/ed25519.h"

#include <string.h>

#define KIND "olm-account"

static gboolean
account_fail (const CmOlmAccount *account, GError **error)
{
  return cm_olm_fail (olm_account_last_error_code (account->olm), error);
}

static CmOlmAccount *
account_new_empty (void)
{
  CmOlmAccount *account = g_new0 (CmOlmAccount, 1);

  account->memory = cm_secret_new (olm_account_size ());
  account->olm = olm_account (account->memory->data);
  return account;
}

static gboolean
read_identity_keys (CmOlmAccount *account, GError **error)
{
  gsize size = olm_account_identity_keys_length (account->olm);
  g_autofree char *text = g_malloc0 (size + 1);
  g_autoptr (CmJsonDoc) doc = NULL;
  const CmJson *keys;

  if (olm_account_identity_keys (account->olm, text, size) == olm_error ())
    return account_fail (account, error);
  doc = cm_json_parse_object (text, strlen (text), error);
  if (doc == NULL)
    return FALSE;
  keys = cm_json_doc_root (doc);
  account->curve25519 = g_strdup (cm_json_get_text (keys, "curve25519"));
  account->ed25519 = g_strdup (cm_json_get_text (keys, "ed25519"));
  if (account->curve25519 == NULL || account->ed25519 == NULL)
    return cm_olm_invalid (error, "Account without identity keys");
  return TRUE;
}

CmOlmAccount *
cm_olm_account_new (GError **error)
{
  g_autoptr (CmOlmAccount) account = account_new_empty ();
  g_autoptr (CmSecret) random = cm_olm_random (olm_create_account_random_length (account->olm));

  if (olm_create_account (account->olm, random->data, random->size) == olm_error ()) {
    account_fail (account, error);
    return NULL;
  }
  return read_identity_keys (account, error) ? g_steal_pointer (&account) : NULL;
}

void
cm_olm_account_free (CmOlmAccount *account)
{
  if (account == NULL)
    return;
  olm_clear_account (account->olm);
  cm_secret_free (account->memory);
  g_free (account->curve25519);
  g_free (account->ed25519);
  g_free (account);
}

const char *
cm_olm_account_curve25519 (const CmOlmAccount *account)
{
  return account->curve25519;
}

const char *
cm_olm_account_ed25519 (const CmOlmAccount *account)
{
  return account->ed25519;
}

char *
cm_olm_account_sign (CmOlmAccount *account, const void *data, gsize length, GError **error)
{
  gsize size = olm_account_signature_length (account->olm);
  g_autofree char *signature = g_malloc0 (size + 1);

  if (olm_account_sign (account->olm, data, length, signature, size) == olm_error ()) {
    account_fail (account, error);
    return NULL;
  }
  return g_steal_pointer (&signature);
}

CmJsonDoc *
cm_olm_account_sign_json (CmOlmAccount *account, const CmJson *object, const char *user_id,
                          const char *device_id, GError **error)
{
  g_autoptr (GBytes) payload = cm_sign_json_payload (object, error);
  g_autofree char *key_id = g_strconcat ("ed25519:", device_id, NULL);
  g_autofree char *signature = NULL;

  if (payload == NULL)
    return NULL;
  signature = cm_olm_account_sign (account, g_bytes_get_data (payload, NULL),
                                   g_bytes_get_size (payload), error);
  if (signature == NULL)
    return NULL;
  return cm_add_signature (object, user_id, key_id, signature, error);
}

gsize
cm_olm_account_max_one_time_keys (const CmOlmAccount *account)
{
  return olm_account_max_number_of_one_time_keys (account->olm);
}

gboolean
cm_olm_account_generate_one_time_keys (CmOlmAccount *account, gsize count, GError **error)
{
  g_autoptr (CmSecret) random = NULL;

  count = MIN (count, cm_olm_account_max_one_time_keys (account));
  random = cm_olm_random (olm_account_generate_one_time_keys_random_length (account->olm, count));
  if (olm_account_generate_one_time_keys (account->olm, count, random->data, random->size) ==
      olm_error ())
    return account_fail (account, error);
  return TRUE;
}

gboolean
cm_olm_account_generate_fallback_key (CmOlmAccount *account, GError **error)
{
  g_autoptr (CmSecret) random =
      cm_olm_random (olm_account_generate_fallback_key_random_length (account->olm));

  if (olm_account_generate_fallback_key (account->olm, random->data, random->size) == olm_error ())
    return account_fail (account, error);
  return TRUE;
}

void
cm_olm_account_forget_old_fallback_key (CmOlmAccount *account)
{
  olm_account_forget_old_fallback_key (account->olm);
}

static void
public_key_free (gpointer data)
{
  CmOlmPublicKey *key = data;

  g_free (key->id);
  g_free (key->key);
  g_free (key);
}

/* @text is libolm's {"curve25519": {ID: KEY, ...}}. */
static gboolean
append_keys (GPtrArray *keys, const char *text, gboolean fallback, GError **error)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse_object (text, strlen (text), error);
  const CmJson *value;
  const char *id;
  CmJsonIter iter;

  if (doc == NULL)
    return FALSE;
  cm_json_iter_init (&iter, cm_json_get_object (cm_json_doc_root (doc), "curve25519"));
  while (cm_json_iter_next (&iter, &id, &value)) {
    CmOlmPublicKey *key = g_new0 (CmOlmPublicKey, 1);

    key->id = g_strdup (id);
    key->key = g_strdup (cm_json_text (value));
    key->fallback = fallback;
    g_ptr_array_add (keys, key);
  }
  return TRUE;
}

GPtrArray *
cm_olm_account_unpublished_keys (CmOlmAccount *account, GError **error)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new_with_free_func (public_key_free);
  gsize one_time_size = olm_account_one_time_keys_length (account->olm);
  gsize fallback_size = olm_account_unpublished_fallback_key_length (account->olm);
  g_autofree char *one_time = g_malloc0 (one_time_size + 1);
  g_autofree char *fallback = g_malloc0 (fallback_size + 1);

  if (olm_account_one_time_keys (account->olm, one_time, one_time_size) == olm_error () ||
      olm_account_unpublished_fallback_key (account->olm, fallback, fallback_size) ==
          olm_error ()) {
    account_fail (account, error);
    return NULL;
  }
  if (!append_keys (keys, one_time, FALSE, error) || !append_keys (keys, fallback, TRUE, error))
    return NULL;
  return g_steal_pointer (&keys);
}

void
cm_olm_account_mark_published (CmOlmAccount *account)
{
  olm_account_mark_keys_as_published (account->olm);
}

GBytes *
cm_olm_account_seal (CmOlmAccount *account, CmVault *vault, const char *context, GError **error)
{
  g_autoptr (CmSecret) pickle = cm_secret_new (olm_pickle_account_length (account->olm));

  if (olm_pickle_account (account->olm, CM_OLM_PICKLE_KEY, CM_OLM_PICKLE_KEY_LENGTH, pickle->data,
                          pickle->size) == olm_error ()) {
    account_fail (account, error);
    return NULL;
  }
  return cm_olm_seal (vault, KIND, context, pickle, error);
}

CmOlmAccount *
cm_olm_account_open (CmVault *vault, const char *context, GBytes *sealed, GError **error)
{
  g_autoptr (CmSecret) pickle = cm_olm_unseal (vault, KIND, context, sealed, error);
  g_autoptr (CmOlmAccount) account = NULL;

  if (pickle == NULL)
    return NULL;
  account = account_new_empty ();
  if (olm_unpickle_account (account->olm, CM_OLM_PICKLE_KEY, CM_OLM_PICKLE_KEY_LENGTH, pickle->data,
                            pickle->size) == olm_error ()) {
    account_fail (account, error);
    return NULL;
  }
  return read_identity_keys (account, error) ? g_steal_pointer (&account) : NULL;
}

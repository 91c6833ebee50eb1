#include "crypto/olm/session.h"

#include "crypto/olm/account-private.h"

#include <string.h>

#define KIND "olm-session"

struct _CmOlmSession {
  CmSecret *memory;
  OlmSession *olm; /* lives in memory */
  char *id;
};

static gboolean
session_fail (const CmOlmSession *session, GError **error)
{
  return cm_olm_fail (olm_session_last_error_code (session->olm), error);
}

static CmOlmSession *
session_new_empty (void)
{
  CmOlmSession *session = g_new0 (CmOlmSession, 1);

  session->memory = cm_secret_new (olm_session_size ());
  session->olm = olm_session (session->memory->data);
  return session;
}

static gboolean
read_id (CmOlmSession *session, GError **error)
{
  gsize size = olm_session_id_length (session->olm);

  session->id = g_malloc0 (size + 1);
  if (olm_session_id (session->olm, session->id, size) == olm_error ())
    return session_fail (session, error);
  return TRUE;
}

CmOlmSession *
cm_olm_session_new_outbound (CmOlmAccount *account, const char *their_identity_key,
                             const char *their_one_time_key, GError **error)
{
  g_autoptr (CmOlmSession) session = session_new_empty ();
  g_autoptr (CmSecret) random =
      cm_olm_random (olm_create_outbound_session_random_length (session->olm));
  g_autoptr (CmSecret) identity_key = cm_olm_read_curve25519 (their_identity_key, error);
  g_autoptr (CmSecret) one_time_key = NULL;

  if (identity_key == NULL)
    return NULL;
  one_time_key = cm_olm_read_curve25519 (their_one_time_key, error);
  if (one_time_key == NULL)
    return NULL;
  if (olm_create_outbound_session (session->olm, account->olm, their_identity_key,
                                   strlen (their_identity_key), their_one_time_key,
                                   strlen (their_one_time_key), random->data,
                                   random->size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return read_id (session, error) ? g_steal_pointer (&session) : NULL;
}

/* (transfer full) the pre-key message @body for libolm to destroy, once it is known to be one and
 * to name @their_identity_key. */
static CmSecret *
read_pre_key (const char *body, const char *their_identity_key, GError **error)
{
  g_autoptr (CmSecret) theirs = cm_olm_read_curve25519 (their_identity_key, error);
  g_autoptr (CmSecret) bytes = NULL;
  g_autoptr (CmSecret) message = NULL;
  CmOlmPreKey keys;

  if (theirs == NULL)
    return NULL;
  message = cm_olm_read_base64 (body, &bytes, error);
  if (message == NULL)
    return NULL;
  if (!cm_olm_wire_is_pre_key (bytes, &keys) || !cm_olm_is_sound_point (keys.base_key)) {
    cm_olm_fail (OLM_BAD_MESSAGE_FORMAT, error);
    return NULL;
  }
  if (memcmp (keys.identity_key, theirs->data, theirs->size) != 0) {
    cm_olm_fail (OLM_BAD_MESSAGE_KEY_ID, error);
    return NULL;
  }
  return g_steal_pointer (&message);
}

/* The session that @body starts, if it is authentic, which only decrypting it can tell. */
static CmOlmSession *
session_from_pre_key (CmOlmAccount *account, const char *their_identity_key, const char *body,
                      GError **error)
{
  g_autoptr (CmOlmSession) session = session_new_empty ();
  g_autoptr (CmSecret) message = read_pre_key (body, their_identity_key, error);

  if (message == NULL)
    return NULL;
  if (olm_create_inbound_session_from (session->olm, account->olm, their_identity_key,
                                       strlen (their_identity_key), message->data,
                                       message->size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return read_id (session, error) ? g_steal_pointer (&session) : NULL;
}

CmOlmSession *
cm_olm_session_new_inbound (CmOlmAccount *account, const char *their_identity_key, const char *body,
                            GBytes **plaintext, GError **error)
{
  g_autoptr (CmOlmSession) session =
      session_from_pre_key (account, their_identity_key, body, error);
  g_autoptr (GBytes) text = NULL;

  if (session == NULL)
    return NULL;
  text = cm_olm_session_decrypt (session, CM_OLM_PRE_KEY, body, error);
  if (text == NULL)
    return NULL;
  if (olm_remove_one_time_keys (account->olm, session->olm) == olm_error ()) {
    cm_olm_fail (olm_account_last_error_code (account->olm), error);
    return NULL;
  }
  *plaintext = g_steal_pointer (&text);
  return g_steal_pointer (&session);
}

void
cm_olm_session_free (CmOlmSession *session)
{
  if (session == NULL)
    return;
  olm_clear_session (session->olm);
  cm_secret_free (session->memory);
  g_free (session->id);
  g_free (session);
}

const char *
cm_olm_session_id (const CmOlmSession *session)
{
  return session->id;
}

gboolean
cm_olm_session_matches (CmOlmSession *session, const char *their_identity_key, const char *body)
{
  g_autoptr (CmSecret) message = read_pre_key (body, their_identity_key, NULL);

  if (message == NULL)
    return FALSE;
  return olm_matches_inbound_session_from (session->olm, their_identity_key,
                                           strlen (their_identity_key), message->data,
                                           message->size) == 1;
}

char *
cm_olm_session_encrypt (CmOlmSession *session, const void *plaintext, gsize length,
                        CmOlmMessageType *type, GError **error)
{
  g_autoptr (CmSecret) random = NULL;
  g_autofree char *body = NULL;
  gsize size;

  if (length > CM_OLM_MAX_BYTES) {
    g_set_error (error, CM_ERROR, CM_ERROR_TOO_LARGE, "Message is too long to be encrypted");
    return NULL;
  }
  *type = olm_encrypt_message_type (session->olm) == OLM_MESSAGE_TYPE_PRE_KEY ? CM_OLM_PRE_KEY
                                                                              : CM_OLM_MESSAGE;
  random = cm_olm_random (olm_encrypt_random_length (session->olm));
  size = olm_encrypt_message_length (session->olm, length);
  body = g_malloc0 (size + 1);
  if (olm_encrypt (session->olm, plaintext, length, random->data, random->size, body, size) ==
      olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return g_steal_pointer (&body);
}

/* (transfer full) the message @body for libolm to destroy, once it is known to be of @type. */
static CmSecret *
read_message (gint64 type, const char *body, GError **error)
{
  g_autoptr (CmSecret) bytes = NULL;
  g_autoptr (CmSecret) message = cm_olm_read_base64 (body, &bytes, error);
  CmOlmPreKey keys;

  if (message == NULL)
    return NULL;
  if ((type == CM_OLM_PRE_KEY && cm_olm_wire_is_pre_key (bytes, &keys)) ||
      (type == CM_OLM_MESSAGE && cm_olm_wire_is_message (bytes)))
    return g_steal_pointer (&message);
  cm_olm_fail (OLM_BAD_MESSAGE_FORMAT, error);
  return NULL;
}

GBytes *
cm_olm_session_decrypt (CmOlmSession *session, gint64 type, const char *body, GError **error)
{
  g_autoptr (CmSecret) message = read_message (type, body, error);
  g_autoptr (CmSecret) copy = NULL;
  g_autoptr (CmSecret) plaintext = NULL;
  gsize size;

  if (message == NULL)
    return NULL;
  copy = cm_secret_new_copy (message->data, message->size);
  size = olm_decrypt_max_plaintext_length (session->olm, type, copy->data, copy->size);
  if (size == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  plaintext = cm_secret_new (size);
  size = olm_decrypt (session->olm, type, message->data, message->size, plaintext->data, size);
  if (size == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return cm_secret_to_bytes (g_steal_pointer (&plaintext), size);
}

GBytes *
cm_olm_session_seal (CmOlmSession *session, CmVault *vault, const char *context, GError **error)
{
  g_autoptr (CmSecret) pickle = cm_secret_new (olm_pickle_session_length (session->olm));

  if (olm_pickle_session (session->olm, CM_OLM_PICKLE_KEY, CM_OLM_PICKLE_KEY_LENGTH, pickle->data,
                          pickle->size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return cm_olm_seal (vault, KIND, context, pickle, error);
}

CmOlmSession *
cm_olm_session_open (CmVault *vault, const char *context, GBytes *sealed, GError **error)
{
  g_autoptr (CmSecret) pickle = cm_olm_unseal (vault, KIND, context, sealed, error);
  g_autoptr (CmOlmSession) session = NULL;

  if (pickle == NULL)
    return NULL;
  session = session_new_empty ();
  if (olm_unpickle_session (session->olm, CM_OLM_PICKLE_KEY, CM_OLM_PICKLE_KEY_LENGTH, pickle->data,
                            pickle->size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return read_id (session, error) ? g_steal_pointer (&session) : NULL;
}

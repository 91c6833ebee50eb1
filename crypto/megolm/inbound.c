#include "crypto/megolm/inbound.h"

#include "crypto/olm/backend.h"

#include <olm/inbound_group_session.h>
#include <string.h>

#define KIND "megolm-inbound"

/* Version, index, ratchet and public key; a session key ends in a signature by the latter (the
 * Megolm specification, "Session-sharing format" and "Session export format"). */
#define EXPORTED_KEY_SIZE (1 + 4 + 128 + 32)
#define SESSION_KEY_SIZE  (EXPORTED_KEY_SIZE + 64)

struct _CmMegolmInbound {
  CmSecret *memory;
  OlmInboundGroupSession *olm; /* lives in memory */
  char *id;
};

static gboolean
session_fail (const CmMegolmInbound *session, GError **error)
{
  return cm_olm_fail (olm_inbound_group_session_last_error_code (session->olm), error);
}

static CmMegolmInbound *
session_new_empty (void)
{
  CmMegolmInbound *session = g_new0 (CmMegolmInbound, 1);

  session->memory = cm_secret_new (olm_inbound_group_session_size ());
  session->olm = olm_inbound_group_session (session->memory->data);
  return session;
}

static gboolean
read_id (CmMegolmInbound *session, GError **error)
{
  gsize size = olm_inbound_group_session_id_length (session->olm);

  session->id = g_malloc0 (size + 1);
  if (olm_inbound_group_session_id (session->olm, (guint8 *) session->id, size) == olm_error ())
    return session_fail (session, error);
  return TRUE;
}

/* (transfer full) a copy of @key that libolm may destroy, when it stands for @expected bytes. */
static CmSecret *
read_key (const char *key, gsize expected, GError **error)
{
  g_autoptr (CmSecret) bytes = NULL;
  g_autoptr (CmSecret) copy = cm_olm_read_base64 (key, &bytes, error);

  if (copy == NULL)
    return NULL;
  if (bytes->size != expected) {
    cm_olm_fail (OLM_BAD_SESSION_KEY, error);
    return NULL;
  }
  return g_steal_pointer (&copy);
}

static gboolean
check_id (CmMegolmInbound *session, const char *expected, GError **error)
{
  if (!read_id (session, error))
    return FALSE;
  if (strcmp (session->id, expected) != 0)
    return cm_olm_invalid (error, "Session key is that of another session");
  return TRUE;
}

CmMegolmInbound *
cm_megolm_inbound_new (const char *session_id, const char *session_key, GError **error)
{
  g_autoptr (CmMegolmInbound) session = session_new_empty ();
  g_autoptr (CmSecret) key = read_key (session_key, SESSION_KEY_SIZE, error);

  if (key == NULL)
    return NULL;
  if (olm_init_inbound_group_session (session->olm, key->data, key->size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return check_id (session, session_id, error) ? g_steal_pointer (&session) : NULL;
}

CmMegolmInbound *
cm_megolm_inbound_import (const char *session_id, const char *exported_key, GError **error)
{
  g_autoptr (CmMegolmInbound) session = session_new_empty ();
  g_autoptr (CmSecret) key = read_key (exported_key, EXPORTED_KEY_SIZE, error);

  if (key == NULL)
    return NULL;
  if (olm_import_inbound_group_session (session->olm, key->data, key->size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return check_id (session, session_id, error) ? g_steal_pointer (&session) : NULL;
}

void
cm_megolm_inbound_free (CmMegolmInbound *session)
{
  if (session == NULL)
    return;
  olm_clear_inbound_group_session (session->olm);
  cm_secret_free (session->memory);
  g_free (session->id);
  g_free (session);
}

const char *
cm_megolm_inbound_id (const CmMegolmInbound *session)
{
  return session->id;
}

guint32
cm_megolm_inbound_first_index (const CmMegolmInbound *session)
{
  return olm_inbound_group_session_first_known_index (session->olm);
}

GBytes *
cm_megolm_inbound_decrypt (CmMegolmInbound *session, const char *body, guint32 *index,
                           GError **error)
{
  g_autoptr (CmSecret) bytes = NULL;
  g_autoptr (CmSecret) message = cm_olm_read_base64 (body, &bytes, error);
  g_autoptr (CmSecret) copy = NULL;
  g_autoptr (CmSecret) plaintext = NULL;
  gsize size;

  if (message == NULL)
    return NULL;
  if (!cm_olm_wire_is_group_message (bytes)) {
    cm_olm_fail (OLM_BAD_MESSAGE_FORMAT, error);
    return NULL;
  }
  copy = cm_secret_new_copy (message->data, message->size);
  size = olm_group_decrypt_max_plaintext_length (session->olm, copy->data, copy->size);
  if (size == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  plaintext = cm_secret_new (size);
  size =
      olm_group_decrypt (session->olm, message->data, message->size, plaintext->data, size, index);
  if (size == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return cm_secret_to_bytes (g_steal_pointer (&plaintext), size);
}

CmSecret *
cm_megolm_inbound_export (CmMegolmInbound *session, guint32 index, GError **error)
{
  g_autoptr (CmSecret) key = cm_secret_new (olm_export_inbound_group_session_length (session->olm));

  if (olm_export_inbound_group_session (session->olm, key->data, key->size, index) ==
      olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return g_steal_pointer (&key);
}

GBytes *
cm_megolm_inbound_seal (CmMegolmInbound *session, CmVault *vault, const char *context,
                        GError **error)
{
  g_autoptr (CmSecret) pickle =
      cm_secret_new (olm_pickle_inbound_group_session_length (session->olm));

  if (olm_pickle_inbound_group_session (session->olm, CM_OLM_PICKLE_KEY, CM_OLM_PICKLE_KEY_LENGTH,
                                        pickle->data, pickle->size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return cm_olm_seal (vault, KIND, context, pickle, error);
}

CmMegolmInbound *
cm_megolm_inbound_open (CmVault *vault, const char *context, GBytes *sealed, GError **error)
{
  g_autoptr (CmSecret) pickle = cm_olm_unseal (vault, KIND, context, sealed, error);
  g_autoptr (CmMegolmInbound) session = NULL;

  if (pickle == NULL)
    return NULL;
  session = session_new_empty ();
  if (olm_unpickle_inbound_group_session (session->olm, CM_OLM_PICKLE_KEY, CM_OLM_PICKLE_KEY_LENGTH,
                                          pickle->data, pickle->size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return read_id (session, error) ? g_steal_pointer (&session) : NULL;
}

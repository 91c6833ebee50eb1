#include "crypto/megolm/outbound.h"

#include "crypto/olm/backend.h"

#include <olm/outbound_group_session.h>
#include <string.h>

#define KIND "megolm-outbound"

struct _CmMegolmOutbound {
  CmSecret *memory;
  OlmOutboundGroupSession *olm; /* lives in memory */
  char *id;
  gint64 created_at;
};

static gboolean
session_fail (const CmMegolmOutbound *session, GError **error)
{
  return cm_olm_fail (olm_outbound_group_session_last_error_code (session->olm), error);
}

static CmMegolmOutbound *
session_new_empty (void)
{
  CmMegolmOutbound *session = g_new0 (CmMegolmOutbound, 1);

  session->memory = cm_secret_new (olm_outbound_group_session_size ());
  session->olm = olm_outbound_group_session (session->memory->data);
  return session;
}

static gboolean
read_id (CmMegolmOutbound *session, GError **error)
{
  gsize size = olm_outbound_group_session_id_length (session->olm);

  session->id = g_malloc0 (size + 1);
  if (olm_outbound_group_session_id (session->olm, (guint8 *) session->id, size) == olm_error ())
    return session_fail (session, error);
  return TRUE;
}

CmMegolmOutbound *
cm_megolm_outbound_new (gint64 now, GError **error)
{
  g_autoptr (CmMegolmOutbound) session = session_new_empty ();
  g_autoptr (CmSecret) random =
      cm_olm_random (olm_init_outbound_group_session_random_length (session->olm));

  session->created_at = now;
  if (olm_init_outbound_group_session (session->olm, random->data, random->size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return read_id (session, error) ? g_steal_pointer (&session) : NULL;
}

void
cm_megolm_outbound_free (CmMegolmOutbound *session)
{
  if (session == NULL)
    return;
  olm_clear_outbound_group_session (session->olm);
  cm_secret_free (session->memory);
  g_free (session->id);
  g_free (session);
}

const char *
cm_megolm_outbound_id (const CmMegolmOutbound *session)
{
  return session->id;
}

gint64
cm_megolm_outbound_created_at (const CmMegolmOutbound *session)
{
  return session->created_at;
}

guint32
cm_megolm_outbound_message_index (const CmMegolmOutbound *session)
{
  return olm_outbound_group_session_message_index (session->olm);
}

CmSecret *
cm_megolm_outbound_session_key (CmMegolmOutbound *session, GError **error)
{
  g_autoptr (CmSecret) key = cm_secret_new (olm_outbound_group_session_key_length (session->olm));

  if (olm_outbound_group_session_key (session->olm, key->data, key->size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return g_steal_pointer (&key);
}

char *
cm_megolm_outbound_encrypt (CmMegolmOutbound *session, const void *plaintext, gsize length,
                            GError **error)
{
  g_autofree char *body = NULL;
  gsize size;

  if (length > CM_OLM_MAX_BYTES) {
    g_set_error (error, CM_ERROR, CM_ERROR_TOO_LARGE, "Message is too long to be encrypted");
    return NULL;
  }
  size = olm_group_encrypt_message_length (session->olm, length);
  body = g_malloc0 (size + 1);
  if (olm_group_encrypt (session->olm, plaintext, length, (guint8 *) body, size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return g_steal_pointer (&body);
}

gboolean
cm_megolm_outbound_needs_rotation (const CmMegolmOutbound *session, gint64 max_age_us,
                                   gint64 max_messages, gint64 now)
{
  gint64 sent = cm_megolm_outbound_message_index (session);

  if (sent >= CLAMP (max_messages, 1, CM_MEGOLM_MAX_MESSAGES) || now < session->created_at)
    return TRUE;
  /* Not even a period of nothing ends a session before its first message: its successor would
   * be no better. */
  return now - session->created_at >= MAX (max_age_us, 0) && (sent > 0 || max_age_us > 0);
}

GBytes *
cm_megolm_outbound_seal (CmMegolmOutbound *session, CmVault *vault, const char *context,
                         GError **error)
{
  gsize size = olm_pickle_outbound_group_session_length (session->olm);
  g_autoptr (CmSecret) record = cm_secret_new (sizeof (gint64) + size);
  gint64 created_at = GINT64_TO_BE (session->created_at);

  memcpy (record->data, &created_at, sizeof created_at);
  if (olm_pickle_outbound_group_session (session->olm, CM_OLM_PICKLE_KEY, CM_OLM_PICKLE_KEY_LENGTH,
                                         record->data + sizeof created_at, size) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return cm_olm_seal (vault, KIND, context, record, error);
}

CmMegolmOutbound *
cm_megolm_outbound_open (CmVault *vault, const char *context, GBytes *sealed, GError **error)
{
  g_autoptr (CmSecret) record = cm_olm_unseal (vault, KIND, context, sealed, error);
  g_autoptr (CmMegolmOutbound) session = NULL;
  gint64 created_at;

  if (record == NULL)
    return NULL;
  if (record->size < sizeof created_at) {
    cm_olm_fail (OLM_CORRUPTED_PICKLE, error);
    return NULL;
  }
  session = session_new_empty ();
  memcpy (&created_at, record->data, sizeof created_at);
  session->created_at = GINT64_FROM_BE (created_at);
  if (olm_unpickle_outbound_group_session (
          session->olm, CM_OLM_PICKLE_KEY, CM_OLM_PICKLE_KEY_LENGTH,
          record->data + sizeof created_at, record->size - sizeof created_at) == olm_error ()) {
    session_fail (session, error);
    return NULL;
  }
  return read_id (session, error) ? g_steal_pointer (&session) : NULL;
}

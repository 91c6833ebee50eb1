#include "tests/fuzz/fuzz.h"

#include "crypto/base64.h"
#include "crypto/megolm/inbound.h"
#include "crypto/olm/session.h"
#include "crypto/olm/wire.h"

#include <string.h>

/* A device with a session, as a stranger's messages find it. */
typedef struct {
  CmOlmAccount *account;
  CmOlmSession *session;
  char *their_key;
} Device;

static Device
new_device (void)
{
  Device device = { cm_olm_account_new (NULL), NULL, NULL };
  g_autoptr (CmOlmAccount) other = cm_olm_account_new (NULL);

  FUZZ_EXPECT (device.account != NULL && other != NULL);
  FUZZ_EXPECT (cm_olm_account_generate_one_time_keys (other, 1, NULL));
  g_autoptr (GPtrArray) keys = cm_olm_account_unpublished_keys (other, NULL);
  const CmOlmPublicKey *key = keys->pdata[0];
  device.their_key = g_strdup (cm_olm_account_curve25519 (other));
  device.session = cm_olm_session_new_outbound (device.account, device.their_key, key->key, NULL);
  FUZZ_EXPECT (device.session != NULL);
  return device;
}

static void
open_message (const Device *device, gint64 type, const char *body)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) text = cm_olm_session_decrypt (device->session, type, body, &error);

  FUZZ_EXPECT (text == NULL && error != NULL);
}

static void
open_pre_key (const Device *device, const char *body)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) text = NULL;
  g_autoptr (CmOlmSession) session =
      cm_olm_session_new_inbound (device->account, device->their_key, body, &text, &error);

  FUZZ_EXPECT (session == NULL && text == NULL && error != NULL);
  cm_olm_session_matches (device->session, device->their_key, body);
  open_message (device, CM_OLM_PRE_KEY, body);
}

/* An exported session key: version, index, ratchet, and the public key that is the session's id. */
#define RATCHET_SIZE (1 + 4 + 128)
#define EXPORT_SIZE  (RATCHET_SIZE + CM_OLM_KEY_SIZE)

/* A key, and behind it a message. */
static void
open_group_message (const guint8 *data, gsize size)
{
  if (size < EXPORT_SIZE)
    return;
  g_autofree char *key = cm_base64_encode (data, EXPORT_SIZE);
  g_autofree char *id = cm_base64_encode (data + RATCHET_SIZE, CM_OLM_KEY_SIZE);
  g_autofree char *body = cm_base64_encode (data + EXPORT_SIZE, size - EXPORT_SIZE);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmMegolmInbound) signed_one = cm_megolm_inbound_new (id, key, NULL);
  g_autoptr (CmMegolmInbound) exported = cm_megolm_inbound_import (id, key, &error);
  guint32 index;

  FUZZ_EXPECT (signed_one == NULL);
  FUZZ_EXPECT (!exported == !!error);
  g_autoptr (GBytes) text =
      exported != NULL ? cm_megolm_inbound_decrypt (exported, body, &index, NULL) : NULL;
}

/* Bodies of m.room.encrypted and room keys: nothing that is not made with the right keys opens, and
 * libolm is not led astray (CVE-2021-44538 and its like). The first byte says which kind; the rest
 * is the message before its base64, so that mutations keep to what is looked at. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  static gsize once = 0;
  static Device device;

  if (g_once_init_enter (&once)) {
    device = new_device ();
    g_once_init_leave (&once, 1);
  }
  if (size == 0)
    return 0;
  g_autofree char *body = cm_base64_encode (data + 1, size - 1);
  switch (data[0] % 3) {
  case 0:
    open_pre_key (&device, body);
    break;
  case 1:
    open_message (&device, CM_OLM_MESSAGE, body);
    break;
  default:
    open_group_message (data + 1, size - 1);
  }
  return 0;
}

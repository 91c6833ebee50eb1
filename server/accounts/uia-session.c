#include "server/accounts/uia-session.h"

#include "crypto/base64.h"
#include "crypto/hash.h"
#include "crypto/vault.h"
#include "server/node.h"

#include <string.h>

#define LIFE_US    (60 * 60 * (gint64) G_USEC_PER_SEC)
#define SEALED_FOR "user-interactive authentication"
#define MAX_WORD   4096

/* What stands before that which is remembered: digests of where the request went and who made it,
 * and of what it said. */
typedef struct {
  gint64 made_us;
  guint8 place[CM_SHA256_SIZE];
  guint8 body[CM_SHA256_SIZE];
} Head;

static void
hash_text (GChecksum *sum, const char *text, gssize length)
{
  g_checksum_update (sum, (const guchar *) text, length);
  g_checksum_update (sum, (const guchar *) "", 1);
}

/* Another user, method or path is another request. */
static void
hash_place (const CmCall *call, guint8 digest[CM_SHA256_SIZE])
{
  const char *user = cm_call_user (call);
  const char *target = cm_call_target (call);
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize size = CM_SHA256_SIZE;

  hash_text (sum, user ? user : "", -1);
  hash_text (sum, cm_call_method (call), -1);
  hash_text (sum, target, (gssize) strcspn (target, "?"));
  g_checksum_get_digest (sum, digest, &size);
}

static void
hash_body (GBytes *body, guint8 digest[CM_SHA256_SIZE])
{
  cm_sha256 (g_bytes_get_data (body, NULL), g_bytes_get_size (body), digest);
}

static GBytes *
body_without_auth (const CmCall *call)
{
  static const char *const without[] = { "auth", NULL };
  return cm_json_canonical_lenient (cm_call_json (call), without);
}

char *
cm_uia_session_new (const CmCall *call, GBytes *remembered, GError **error)
{
  Head head = { .made_us = g_get_real_time () };
  g_autoptr (GBytes) body = body_without_auth (call);
  g_autoptr (GByteArray) content = g_byte_array_new ();
  gsize length = 0;
  const guint8 *data = remembered ? g_bytes_get_data (remembered, &length) : NULL;

  hash_place (call, head.place);
  hash_body (body, head.body);
  g_byte_array_append (content, (const guint8 *) &head, sizeof head);
  if (data)
    g_byte_array_append (content, data, (guint) length);
  g_autoptr (GBytes) sealed =
      cm_vault_seal (cm_call_node (call)->vault, SEALED_FOR, content->data, content->len, error);
  if (!sealed)
    return NULL;
  return cm_base64url_encode (g_bytes_get_data (sealed, NULL), g_bytes_get_size (sealed));
}

static gboolean
is_here (const CmCall *call, const Head *head)
{
  guint8 place[CM_SHA256_SIZE];
  hash_place (call, place);
  return memcmp (head->place, place, sizeof place) == 0;
}

static gboolean
is_body (const Head *head, GBytes *body)
{
  guint8 digest[CM_SHA256_SIZE];
  hash_body (body, digest);
  return memcmp (head->body, digest, sizeof digest) == 0;
}

gboolean
cm_uia_session_check (const CmCall *call, const char *word, GBytes **remembered)
{
  g_autoptr (GBytes) sealed = strlen (word) <= MAX_WORD ? cm_base64url_decode (word, NULL) : NULL;
  g_autoptr (GBytes) opened =
      sealed ? cm_vault_open (cm_call_node (call)->vault, SEALED_FOR, sealed, NULL) : NULL;
  gsize length = opened ? g_bytes_get_size (opened) : 0;
  Head head;

  *remembered = NULL;
  if (length < sizeof head)
    return FALSE;
  memcpy (&head, g_bytes_get_data (opened, NULL), sizeof head);
  if (!is_here (call, &head) || g_get_real_time () - head.made_us > LIFE_US)
    return FALSE;
  g_autoptr (GBytes) body = body_without_auth (call);
  g_autoptr (GBytes) nothing = g_bytes_new_static ("{}", 2);
  gboolean left_out = length > sizeof head && g_bytes_equal (body, nothing);
  if (!left_out && !is_body (&head, body))
    return is_body (&head, nothing);
  if (length > sizeof head)
    *remembered = g_bytes_new_from_bytes (opened, sizeof head, length - sizeof head);
  return TRUE;
}

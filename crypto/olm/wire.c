#include "crypto/olm/wire.h"

#include <string.h>

/* The Olm and Megolm specifications, "Message format": a version, fields in the manner of protocol
 * buffers (a tag that holds number and type, then an integer or a length and bytes), a MAC, and for
 * Megolm a signature. */
#define VERSION         3
#define VARIABLE(field) ((field) << 3 | 2)
#define INTEGER(field)  ((field) << 3 | 0)
#define MAC_SIZE        8
#define SIGNATURE_SIZE  64

typedef struct {
  const guint8 *next;
  gsize left;
} Cursor;

static gboolean
take_byte (Cursor *cursor, guint8 *byte)
{
  if (cursor->left == 0)
    return FALSE;
  *byte = *cursor->next++;
  cursor->left--;
  return TRUE;
}

static gboolean
take_expected (Cursor *cursor, guint8 expected)
{
  guint8 byte = 0;

  return take_byte (cursor, &byte) && byte == expected;
}

/* Seven bits a byte, the lowest first; 32 bits and no idle zeros at the end. */
static gboolean
take_integer (Cursor *cursor, guint32 *value)
{
  guint64 sum = 0;
  guint8 byte;

  for (int shift = 0; shift < 35; shift += 7) {
    if (!take_byte (cursor, &byte))
      return FALSE;
    sum |= (guint64) (byte & 0x7f) << shift;
    if ((byte & 0x80) != 0)
      continue;
    *value = (guint32) sum;
    return sum <= G_MAXUINT32 && (byte != 0 || shift == 0);
  }
  return FALSE;
}

static gboolean
take_bytes (Cursor *cursor, guint field, Cursor *bytes)
{
  guint32 length;

  if (!take_expected (cursor, VARIABLE (field)) || !take_integer (cursor, &length) ||
      length > cursor->left)
    return FALSE;
  *bytes = (Cursor){ cursor->next, length };
  cursor->next += length;
  cursor->left -= length;
  return TRUE;
}

static gboolean
take_key (Cursor *cursor, guint field, const guint8 **key)
{
  Cursor bytes;

  if (!take_bytes (cursor, field, &bytes) || bytes.left != CM_OLM_KEY_SIZE)
    return FALSE;
  *key = bytes.next;
  return TRUE;
}

static gboolean
is_message (Cursor cursor)
{
  const guint8 *ratchet_key;
  Cursor ciphertext;
  guint32 counter;

  return take_expected (&cursor, VERSION) && take_key (&cursor, 1, &ratchet_key) &&
         take_expected (&cursor, INTEGER (2)) && take_integer (&cursor, &counter) &&
         take_bytes (&cursor, 4, &ciphertext) && cursor.left == MAC_SIZE;
}

gboolean
cm_olm_wire_is_pre_key (const CmSecret *message, CmOlmPreKey *keys)
{
  Cursor cursor = { message->data, message->size };
  Cursor inner;

  return take_expected (&cursor, VERSION) && take_key (&cursor, 1, &keys->one_time_key) &&
         take_key (&cursor, 2, &keys->base_key) && take_key (&cursor, 3, &keys->identity_key) &&
         take_bytes (&cursor, 4, &inner) && cursor.left == 0 && is_message (inner);
}

gboolean
cm_olm_wire_is_message (const CmSecret *message)
{
  return is_message ((Cursor){ message->data, message->size });
}

gboolean
cm_olm_wire_is_group_message (const CmSecret *message)
{
  Cursor cursor = { message->data, message->size };
  Cursor ciphertext;
  guint32 index;

  return take_expected (&cursor, VERSION) && take_expected (&cursor, INTEGER (1)) &&
         take_integer (&cursor, &index) && take_bytes (&cursor, 2, &ciphertext) &&
         cursor.left == MAC_SIZE + SIGNATURE_SIZE;
}

#include "schema/db-private.h"

#include <string.h>

/* The wire form of integers and arrays is that of the server's send functions: big-endian, lengths
 * in 32 bits. */

#define OID_BOOL 16
#define OID_INT8 20
#define OID_INT2 21
#define OID_INT4 23

struct _CmRows {
  PGresult *result;
};

CmRows *
cm_rows_new (PGresult *result)
{
  CmRows *rows = g_new (CmRows, 1);
  rows->result = result;
  return rows;
}

void
cm_rows_free (CmRows *rows)
{
  if (rows == NULL)
    return;
  PQclear (rows->result);
  g_free (rows);
}

gint64
cm_rows_affected (const CmRows *rows)
{
  return g_ascii_strtoll (PQcmdTuples (rows->result), NULL, 10);
}

const char *
cm_rows_tag (const CmRows *rows)
{
  return PQcmdStatus (rows->result);
}

gsize
cm_rows_count (const CmRows *rows)
{
  return PQntuples (rows->result);
}

/* A cell that is not there is a mistake of the program: it reads as NULL, with a complaint. */
static gboolean
has_value (const CmRows *rows, gsize row, int column)
{
  g_return_val_if_fail (row < (gsize) PQntuples (rows->result), FALSE);
  g_return_val_if_fail (column >= 0 && column < PQnfields (rows->result), FALSE);
  return !PQgetisnull (rows->result, (int) row, column);
}

gboolean
cm_rows_is_null (const CmRows *rows, gsize row, int column)
{
  return !has_value (rows, row, column);
}

const char *
cm_rows_text (const CmRows *rows, gsize row, int column)
{
  return has_value (rows, row, column) ? PQgetvalue (rows->result, (int) row, column) : NULL;
}

const void *
cm_rows_data (const CmRows *rows, gsize row, int column, gsize *length)
{
  *length = 0;
  if (!has_value (rows, row, column))
    return NULL;
  *length = PQgetlength (rows->result, (int) row, column);
  return PQgetvalue (rows->result, (int) row, column);
}

static guint32
read_32 (const char *p)
{
  guint32 value;
  memcpy (&value, p, sizeof value);
  return GUINT32_FROM_BE (value);
}

static gint64
read_integer (guint32 type, const char *p, gsize length)
{
  if (type == OID_INT8 && length == 8)
    return (gint64) ((guint64) read_32 (p) << 32 | read_32 (p + 4));
  if (type == OID_INT4 && length == 4)
    return (gint32) read_32 (p);
  if (type == OID_INT2 && length == 2)
    return (gint16) ((guint8) p[0] << 8 | (guint8) p[1]);
  g_return_val_if_reached (0);
}

gint64
cm_rows_integer (const CmRows *rows, gsize row, int column)
{
  gsize length;
  const char *value = cm_rows_data (rows, row, column, &length);
  return value != NULL ? read_integer (PQftype (rows->result, column), value, length) : 0;
}

gboolean
cm_rows_boolean (const CmRows *rows, gsize row, int column)
{
  gsize length;
  const char *value = cm_rows_data (rows, row, column, &length);
  if (value == NULL)
    return FALSE;
  g_return_val_if_fail (PQftype (rows->result, column) == OID_BOOL && length == 1, FALSE);
  return value[0] != 0;
}

GBytes *
cm_rows_bytes (const CmRows *rows, gsize row, int column)
{
  gsize length;
  const void *value = cm_rows_data (rows, row, column, &length);
  return value != NULL ? g_bytes_new (value, length) : NULL;
}

/* array_send: number of dimensions, flags, element type; size and lower bound of each dimension;
 * length and bytes of each element (length -1 for NULL, which reads as 0). */
GArray *
cm_rows_integers (const CmRows *rows, gsize row, int column)
{
  g_autoptr (GArray) integers = g_array_new (FALSE, FALSE, sizeof (gint64));
  gsize length;
  const char *p = cm_rows_data (rows, row, column, &length);
  if (length < 20 || read_32 (p) == 0)
    return g_steal_pointer (&integers);
  g_return_val_if_fail (read_32 (p) == 1, g_steal_pointer (&integers));

  guint32 type = read_32 (p + 8);
  guint32 count = read_32 (p + 12);
  const char *end = p + length;
  p += 20;
  for (guint32 i = 0; i < count && end - p >= 4; i++) {
    guint32 size = read_32 (p);
    p += 4;
    gint64 value = 0;
    if (size != G_MAXUINT32) {
      g_return_val_if_fail (size <= (gsize) (end - p), g_steal_pointer (&integers));
      value = read_integer (type, p, size);
      p += size;
    }
    g_array_append_val (integers, value);
  }
  return g_steal_pointer (&integers);
}

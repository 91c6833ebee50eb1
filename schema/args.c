#include "schema/args.h"

#include <string.h>

/* PostgreSQL refuses messages of 1 GiB and older libpq adds the sizes up in 32 bits
 * (CVE-2025-12818): stay far below both. */
#define MAX_SIZE     ((gsize) 512 * 1024 * 1024)
#define MAX_PARAMS   65535
#define INTEGER_ROOM 21 /* -9223372036854775808 and its NUL */

CmParam
cm_param_bytes (GBytes *bytes)
{
  if (bytes == NULL)
    return CM_SQL_NULL;
  gsize length;
  const void *data = g_bytes_get_data (bytes, &length);
  return CM_DATA (data != NULL ? data : "", length);
}

CmParam
cm_param_integers (const GArray *integers)
{
  return integers != NULL ? CM_INTS ((const gint64 *) (gconstpointer) integers->data, integers->len)
                          : CM_SQL_NULL;
}

CmParam
cm_param_texts (GPtrArray *texts)
{
  if (texts->len == 0 || texts->pdata[texts->len - 1] != NULL)
    g_ptr_array_add (texts, NULL);
  return CM_TEXTS ((const char *const *) texts->pdata);
}

static gboolean
check_text (const char *text, gsize length, GError **error)
{
  if (length <= MAX_SIZE && g_utf8_validate_len (text, length, NULL))
    return TRUE;
  if (length > MAX_SIZE)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_TOO_LARGE, "Text is too long");
  else
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "Text is not valid");
  return FALSE;
}

/* Room for an array literal: each text quoted, in the worst case with every byte escaped. */
static gboolean
texts_room (const char *const *texts, gsize *room, GError **error)
{
  *room = sizeof "{}";
  for (gsize i = 0; texts != NULL && texts[i] != NULL; i++) {
    gsize length = strlen (texts[i]);
    if (!check_text (texts[i], length, error))
      return FALSE;
    *room += 2 * length + strlen ("\"\",");
    if (*room > 2 * MAX_SIZE) {
      g_set_error_literal (error, CM_ERROR, CM_ERROR_TOO_LARGE, "Too many texts");
      return FALSE;
    }
  }
  return TRUE;
}

/* How much memory the encoded @param needs (@room) beside what it borrows, and how long its value
 * is at most (@size). */
static gboolean
measure (const CmParam *param, gboolean copy, gsize *room, gsize *size, GError **error)
{
  *room = *size = 0;
  switch (param->type) {
  case CM_PARAM_NULL:
    return TRUE;
  case CM_PARAM_TEXT:
  case CM_PARAM_STRING:
    if (param->data == NULL)
      return TRUE;
    *size = param->type == CM_PARAM_TEXT ? strlen (param->data) : param->length;
    *room = copy ? *size + 1 : 0;
    return check_text (param->data, *size, error);
  case CM_PARAM_BYTES:
    *size = param->length;
    *room = copy ? *size : 0;
    return TRUE;
  case CM_PARAM_BOOLEAN:
  case CM_PARAM_INTEGER:
  case CM_PARAM_POSITION:
    *room = *size = INTEGER_ROOM;
    return TRUE;
  case CM_PARAM_INTEGERS:
    *size = MIN (param->length, MAX_SIZE) * INTEGER_ROOM + sizeof "{}";
    *room = *size;
    return TRUE;
  case CM_PARAM_TEXTS:
    if (!texts_room (param->data, size, error))
      return FALSE;
    *room = *size;
    return TRUE;
  }
  g_return_val_if_reached (FALSE);
}

static gboolean
measure_all (const CmParam *params, gsize n, gboolean copy, CmArgs *sums, gsize *room,
             GError **error)
{
  *room = 0;
  for (gsize i = 0; i < n; i++) {
    gsize own, size;
    if (!measure (&params[i], copy, &own, &size, error))
      return FALSE;
    if (size > MAX_SIZE || sums->size + size > MAX_SIZE) {
      g_set_error_literal (error, CM_ERROR, CM_ERROR_TOO_LARGE, "Too much data at once");
      return FALSE;
    }
    sums->size += size;
    *room += own;
    sums->n_positions += params[i].type == CM_PARAM_POSITION;
  }
  return TRUE;
}

static char *
put_integer (char *out, gint64 value)
{
  return out + g_snprintf (out, INTEGER_ROOM, "%" G_GINT64_FORMAT, value);
}

static char *
put_integers (char *out, const gint64 *values, gsize n)
{
  *out++ = '{';
  for (gsize i = 0; i < n; i++) {
    if (i > 0)
      *out++ = ',';
    out = put_integer (out, values[i]);
  }
  *out++ = '}';
  *out++ = '\0';
  return out;
}

static char *
put_texts (char *out, const char *const *texts)
{
  *out++ = '{';
  for (gsize i = 0; texts != NULL && texts[i] != NULL; i++) {
    if (i > 0)
      *out++ = ',';
    *out++ = '"';
    for (const char *p = texts[i]; *p != '\0'; p++) {
      if (*p == '"' || *p == '\\')
        *out++ = '\\';
      *out++ = *p;
    }
    *out++ = '"';
  }
  *out++ = '}';
  *out++ = '\0';
  return out;
}

static char *
put_data (CmArgs *args, guint i, const CmParam *param, gsize length, gboolean copy, char *out)
{
  args->lengths[i] = (int) length;
  args->values[i] = param->data;
  if (!copy)
    return out;
  args->values[i] = out;
  memcpy (out, param->data, length);
  out += length;
  if (param->type != CM_PARAM_BYTES)
    *out++ = '\0';
  return out;
}

/* Encodes one parameter at @out where it is not borrowed; returns where the next one may go. */
static char *
put (CmArgs *args, guint i, const CmParam *param, gboolean copy, char *out)
{
  args->values[i] = out;
  args->lengths[i] = 0;
  args->formats[i] = param->type == CM_PARAM_BYTES || param->type == CM_PARAM_STRING;
  switch (param->type) {
  case CM_PARAM_NULL:
    break;
  case CM_PARAM_TEXT:
    if (param->data != NULL)
      return put_data (args, i, param, strlen (param->data), copy, out);
    break;
  case CM_PARAM_STRING:
  case CM_PARAM_BYTES:
    if (param->data != NULL)
      return put_data (args, i, param, param->length, copy, out);
    break;
  case CM_PARAM_BOOLEAN:
    *out++ = param->integer ? 't' : 'f';
    *out++ = '\0';
    return out;
  case CM_PARAM_POSITION:
    args->positions[args->n_positions++] = (CmArgPosition){ i, param->integer };
    return out + INTEGER_ROOM;
  case CM_PARAM_INTEGER:
    return put_integer (out, param->integer) + 1;
  case CM_PARAM_INTEGERS:
    return put_integers (out, param->data, param->length);
  case CM_PARAM_TEXTS:
    return put_texts (out, param->data);
  }
  args->values[i] = NULL;
  return out;
}

CmArgs *
cm_args_new (const CmParam *params, gsize n_params, gboolean copy, GError **error)
{
  CmArgs sums = { 0 };
  gsize room;
  g_return_val_if_fail (n_params <= MAX_PARAMS, NULL);
  if (!measure_all (params, n_params, copy, &sums, &room, error))
    return NULL;

  gsize values = n_params * sizeof (char *);
  gsize positions = sums.n_positions * sizeof (CmArgPosition);
  gsize integers = n_params * sizeof (int);
  char *block = g_malloc (sizeof (CmArgs) + values + positions + 2 * integers + room);
  CmArgs *args = (CmArgs *) block;
  *args = sums;
  args->n = (int) n_params;
  args->n_positions = 0;
  args->values = (const char **) (block += sizeof (CmArgs));
  args->positions = (CmArgPosition *) (block += values);
  args->lengths = (int *) (block += positions);
  args->formats = (int *) (block += integers);
  block += integers;
  for (guint i = 0; i < n_params; i++)
    block = put (args, i, &params[i], copy, block);
  return args;
}

void
cm_args_set_positions (CmArgs *args, gint64 base)
{
  for (guint i = 0; i < args->n_positions; i++) {
    const CmArgPosition *place = &args->positions[i];
    put_integer ((char *) args->values[place->index], base + place->offset);
  }
}

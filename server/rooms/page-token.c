#include "server/rooms/page-token.h"

#include <string.h>

char *
cm_page_token (gint64 position)
{
  return g_strdup_printf ("p%" G_GINT64_FORMAT, position);
}

gboolean
cm_page_token_parse (const char *text, gint64 *position, GError **error)
{
  g_autofree char *digits = NULL;

  if (g_ascii_islower (text[0]))
    digits = g_strndup (text + 1, strcspn (text + 1, "_"));
  if (digits != NULL && digits[0] != '+' &&
      g_ascii_string_to_signed (digits, 10, -G_MAXINT64 / 2, G_MAXINT64 / 2, position, NULL))
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This is no pagination token");
  return FALSE;
}

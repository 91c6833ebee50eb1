#include "server/sync/token.h"

char *
cm_sync_token_text (const CmSyncToken *token)
{
  return g_strdup_printf ("s%" G_GINT64_FORMAT "_%" G_GINT64_FORMAT "_%x_%" G_GINT64_FORMAT,
                          token->position, token->ephemeral, token->epoch, token->to_device);
}

static gboolean
read_number (const char *text, guint base, gint64 *number)
{
  guint64 value;

  if (!g_ascii_string_to_unsigned (text, base, 0, G_MAXINT64 / 2, &value, NULL))
    return FALSE;
  *number = (gint64) value;
  return TRUE;
}

gboolean
cm_sync_token_parse (const char *text, CmSyncToken *token, GError **error)
{
  g_auto (GStrv) parts = NULL;
  gint64 epoch = 0;

  *token = (CmSyncToken){ 0 };
  if (text[0] == 's' || text[0] == 'p')
    parts = g_strsplit (text + 1, "_", 5);
  guint n = parts != NULL ? g_strv_length (parts) : 0;
  gboolean good = n == (text[0] == 's' ? 4 : 1) && read_number (parts[0], 10, &token->position);
  if (good && n == 4)
    good = read_number (parts[1], 10, &token->ephemeral) && read_number (parts[2], 16, &epoch) &&
           epoch <= G_MAXUINT32 && read_number (parts[3], 10, &token->to_device);
  token->epoch = (guint32) epoch;
  if (n == 1)
    token->to_device = token->position;
  if (!good)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                         "since is no token of this server");
  return good;
}

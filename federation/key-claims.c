#include "federation/key-claims.h"

#define MAX_RECORDS 20000
/* Between two fetches that went well but did not bring the key: the names of keys come from
 * strangers. */
#define CALM_USEC  (10 * G_USEC_PER_SEC)
#define FAILED_MIN (2 * G_USEC_PER_SEC)
#define FAILED_MAX (300 * G_USEC_PER_SEC)

typedef struct {
  gboolean running;
  gint64 not_before; /* monotonic */
  guint failures;
} Record;

struct _CmKeyClaims {
  GMutex lock;
  GCond ended;
  GHashTable *records; /* server -> Record */
};

static gboolean
record_is_idle (gpointer server, gpointer data, gpointer now)
{
  const Record *record = data;

  return !record->running && record->not_before < *(gint64 *) now;
}

static Record *
record_of (CmKeyClaims *claims, const char *server)
{
  Record *record = g_hash_table_lookup (claims->records, server);
  gint64 now = g_get_monotonic_time ();

  if (record != NULL)
    return record;
  if (g_hash_table_size (claims->records) >= MAX_RECORDS)
    g_hash_table_foreach_remove (claims->records, record_is_idle, &now);
  record = g_new0 (Record, 1);
  g_hash_table_insert (claims->records, g_strdup (server), record);
  return record;
}

CmKeyClaims *
cm_key_claims_new (void)
{
  CmKeyClaims *claims = g_new0 (CmKeyClaims, 1);

  claims->records = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_mutex_init (&claims->lock);
  g_cond_init (&claims->ended);
  return claims;
}

void
cm_key_claims_free (CmKeyClaims *claims)
{
  g_hash_table_unref (claims->records);
  g_mutex_clear (&claims->lock);
  g_cond_clear (&claims->ended);
  g_free (claims);
}

gboolean
cm_key_claims_take (CmKeyClaims *claims, const char *server)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&claims->lock);
  Record *record = record_of (claims, server);

  if (record->running || record->not_before > g_get_monotonic_time ())
    return FALSE;
  record->running = TRUE;
  return TRUE;
}

void
cm_key_claims_release (CmKeyClaims *claims, const char *server, gboolean satisfied,
                       gboolean answered)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&claims->lock);
  Record *record = record_of (claims, server);
  gint64 pause = CALM_USEC;

  record->running = FALSE;
  record->failures = answered ? 0 : MIN (record->failures + 1, 16);
  if (satisfied)
    pause = 0;
  else if (!answered)
    pause = MIN ((gint64) FAILED_MIN << (record->failures - 1), FAILED_MAX);
  record->not_before = g_get_monotonic_time () + pause;
  g_cond_broadcast (&claims->ended);
}

void
cm_key_claims_wait (CmKeyClaims *claims, const char *server)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&claims->lock);
  const Record *record;

  while ((record = g_hash_table_lookup (claims->records, server)) != NULL && record->running)
    g_cond_wait (&claims->ended, &claims->lock);
}

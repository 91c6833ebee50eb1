#include "server/push/profiles.h"

#include "schema/account-data.h"
#include "schema/push.h"
#include "server/sync/answer.h"

#define MAX_PROFILES 50000

struct _CmPushProfiles {
  CmNode *node;
  CmMatcher *defaults;
  GHashTable *profiles; /* user id -> CmPushProfile */
};

CmPushProfile *
cm_push_profile_ref (CmPushProfile *profile)
{
  g_atomic_ref_count_inc (&profile->refs);
  return profile;
}

void
cm_push_profile_unref (CmPushProfile *profile)
{
  if (!g_atomic_ref_count_dec (&profile->refs))
    return;
  cm_matcher_unref (profile->matcher);
  g_clear_pointer (&profile->ignored, g_hash_table_unref);
  g_free (profile);
}

static CmPushProfile *
new_profile (CmMatcher *defaults)
{
  CmPushProfile *profile = g_new0 (CmPushProfile, 1);

  g_atomic_ref_count_init (&profile->refs);
  profile->matcher = cm_matcher_ref (defaults);
  profile->is_default = TRUE;
  return profile;
}

CmPushProfiles *
cm_push_profiles_new (CmNode *node)
{
  CmPushProfiles *profiles = g_new0 (CmPushProfiles, 1);
  g_autoptr (CmRuleSet) set = cm_rule_set_new (CM_RULE_OWN_ID, NULL);

  profiles->node = node;
  profiles->defaults = cm_matcher_new (set, CM_RULE_OWN_ID);
  profiles->profiles = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                              (GDestroyNotify) cm_push_profile_unref);
  return profiles;
}

void
cm_push_profiles_free (CmPushProfiles *profiles)
{
  g_hash_table_unref (profiles->profiles);
  cm_matcher_unref (profiles->defaults);
  g_free (profiles);
}

CmPushProfile *
cm_push_profiles_find (CmPushProfiles *profiles, const char *user_id)
{
  return g_hash_table_lookup (profiles->profiles, user_id);
}

void
cm_push_profiles_forget (CmPushProfiles *profiles, const char *user_id)
{
  g_hash_table_remove (profiles->profiles, user_id);
}

static void
take_rules (GHashTable *loaded, const CmRows *rows)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    const char *user_id = cm_rows_text (rows, i, 0);
    CmPushProfile *profile = g_hash_table_lookup (loaded, user_id);
    g_autoptr (GBytes) stored = cm_rows_bytes (rows, i, 1);
    g_autoptr (CmRuleSet) set = cm_rule_set_new (user_id, stored);
    cm_matcher_unref (profile->matcher);
    profile->matcher = cm_matcher_new (set, user_id);
    profile->is_default = FALSE;
  }
}

static void
take_ignored (GHashTable *loaded, const CmRows *rows)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmPushProfile *profile = g_hash_table_lookup (loaded, cm_rows_text (rows, i, 0));
    g_autoptr (GBytes) content = cm_rows_bytes (rows, i, 1);
    profile->ignored = cm_sync_ignored (content);
  }
}

static void
take_pushers (GHashTable *loaded, const CmRows *rows)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmPushProfile *profile = g_hash_table_lookup (loaded, cm_rows_text (rows, i, 0));
    profile->has_pushers = TRUE;
  }
}

static gboolean
read_profiles (CmPushProfiles *profiles, const char *const *user_ids, GHashTable *loaded,
               GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (profiles->node->pool, error);
  g_autoptr (CmRows) rules = db != NULL ? cm_push_rules_of_users (db, user_ids, error) : NULL;
  g_autoptr (CmRows) ignored =
      rules != NULL ? cm_account_data_of_users (db, user_ids, "m.ignored_user_list", error) : NULL;
  g_autoptr (CmRows) pushers = ignored != NULL ? cm_pushers_of_users (db, user_ids, error) : NULL;

  if (pushers == NULL)
    return FALSE;
  take_rules (loaded, rules);
  take_ignored (loaded, ignored);
  take_pushers (loaded, pushers);
  return TRUE;
}

gboolean
cm_push_profiles_load (CmPushProfiles *profiles, const char *const *user_ids, GError **error)
{
  g_autoptr (GPtrArray) missing = g_ptr_array_new ();
  g_autoptr (GHashTable) loaded = g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                                         (GDestroyNotify) cm_push_profile_unref);
  GHashTableIter iter;
  gpointer user_id, profile;

  for (gsize i = 0; user_ids[i] != NULL; i++)
    if (!g_hash_table_contains (profiles->profiles, user_ids[i])) {
      g_ptr_array_add (missing, (char *) user_ids[i]);
      g_hash_table_replace (loaded, g_strdup (user_ids[i]), new_profile (profiles->defaults));
    }
  if (missing->len == 0)
    return TRUE;
  g_ptr_array_add (missing, NULL);
  if (!read_profiles (profiles, (const char *const *) missing->pdata, loaded, error))
    return FALSE;
  if (g_hash_table_size (profiles->profiles) + missing->len > MAX_PROFILES)
    g_hash_table_remove_all (profiles->profiles);
  g_hash_table_iter_init (&iter, loaded);
  while (g_hash_table_iter_next (&iter, &user_id, &profile)) {
    g_hash_table_iter_steal (&iter);
    g_hash_table_insert (profiles->profiles, user_id, profile);
  }
  return TRUE;
}

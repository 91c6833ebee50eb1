/* What must be known of a user to tell what an event means to him: his push rules, made ready, and
 * whom he ignores. Kept in memory, bounded. Of one thread. */
#pragma once

#include "server/node.h"
#include "server/push/matcher.h"

G_BEGIN_DECLS

typedef struct {
  gatomicrefcount refs;
  CmMatcher *matcher;
  gboolean is_default; /* the matcher is everybody's who has no rules of his own */
  GHashTable *ignored; /* set of user ids; nullable */
  gboolean has_pushers;
} CmPushProfile;

CmPushProfile *cm_push_profile_ref (CmPushProfile *profile);
void cm_push_profile_unref (CmPushProfile *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmPushProfile, cm_push_profile_unref)

typedef struct _CmPushProfiles CmPushProfiles;

CmPushProfiles *cm_push_profiles_new (CmNode *node);
void cm_push_profiles_free (CmPushProfiles *profiles);

/* Reads those of @user_ids that are not here yet, in one go. */
gboolean
cm_push_profiles_load (CmPushProfiles *profiles, const char *const *user_ids, GError **error);
/* (borrowed) NULL when it is not here. */
CmPushProfile *cm_push_profiles_find (CmPushProfiles *profiles, const char *user_id);
void cm_push_profiles_forget (CmPushProfiles *profiles, const char *user_id);

G_END_DECLS

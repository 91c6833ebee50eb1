/* The sessions in use, by the hash of their access token: bounded, least recently used out first.
 * Sessions are immutable, but for when they were last seen. Knows no database: whoever fills it
 * says what it knew of revocations before it looked there. */
#pragma once

#include "schema/account.h"

G_BEGIN_DECLS

typedef struct {
  gatomicrefcount refs;
  char *hash;
  char *user_id;
  char *device_id;
  gint64 user;       /* sym */
  gint64 token;      /* row */
  gint64 expires_ts; /* 0: never */
  CmAccountState state;
  gboolean guest;
  gboolean admin;
  gint seen; /* atomic: seconds of the clock when it was last noted */
} CmSession;

/* (transfer full) empty, with one reference. */
CmSession *cm_session_new (void);
CmSession *cm_session_ref (CmSession *session);
void cm_session_unref (CmSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmSession, cm_session_unref)

typedef struct _CmSessionCache CmSessionCache;

CmSessionCache *cm_session_cache_new (guint max);
void cm_session_cache_free (CmSessionCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmSessionCache, cm_session_cache_free)

/* (transfer full) NULL when it is not here. @epoch gets what cm_session_cache_add wants to know. */
CmSession *cm_session_cache_find (CmSessionCache *cache, const char *hash, guint64 *epoch);
/* Adds a session that was read after @epoch was; nothing happens when anything was dropped in
 * between, for it might be that one. */
void cm_session_cache_add (CmSessionCache *cache, CmSession *session, guint64 epoch);
/* Forgets the sessions of a user's device, or of all of them (@device_id NULL). Call it after the
 * database was told. */
void cm_session_cache_drop (CmSessionCache *cache, const char *user_id, const char *device_id);
void cm_session_cache_drop_all (CmSessionCache *cache);

G_END_DECLS

/* Access and refresh tokens, and the short-lived ones: login tokens, OpenID tokens, nonces. Known
 * by their hash only. */
#pragma once

#include "schema/account.h"

G_BEGIN_DECLS

/* A token with what must be known of its account to judge a request. */
typedef struct {
  gint64 id;
  char *user_id;
  char *device_id;
  gint64 user;       /* sym */
  gint64 expires_ts; /* 0: never */
  gint64 created_ts; /* of a refresh token only */
  gint64 refresh;    /* the refresh token it came with, 0 when none */
  gboolean used;
  CmAccountOrigin origin;
  CmAccountState state;
  gboolean admin;
} CmToken;

void cm_token_free (CmToken *token);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmToken, cm_token_free)

/* (transfer full) NULL without @error when there is none. */
CmToken *cm_token_find (CmDb *db, const char *hash, GError **error);

typedef struct {
  const char *user_id;
  const char *device_id;
  const char *hash;
  const char *refresh_hash; /* NULL: without a refresh token */
  gint64 expires_ts;        /* 0: never */
  gint64 now;
} CmNewToken;

gboolean cm_token_insert (CmDb *db, const CmNewToken *token, GError **error);
/* The tokens and pushers of a device. */
gboolean
cm_token_delete_device (CmDb *db, const char *user_id, const char *device_id, GError **error);
/* All of a user's. */
gboolean cm_token_delete_user (CmDb *db, const char *user_id, GError **error);
/* Whether the user has any. */
gboolean cm_token_any (CmDb *db, const char *user_id, gboolean *any, GError **error);
void cm_token_write_delete_device (CmWrite *write, const char *user_id, const char *device_id);

/* The first use of a token that came from a refresh: the refresh token before that is worth nothing
 * from now on. */
gboolean cm_token_first_use (CmDb *db, const CmToken *token, GError **error);

/* (transfer full) the refresh token @hash, locked until the transaction ends; id, user_id,
 * device_id and created_ts are filled in. NULL without @error when there is none. */
CmToken *cm_refresh_token_lock (CmDb *db, const char *hash, GError **error);
/* Puts @token, with its refresh token, in place of what @old was refreshed to before, ends the
 * access tokens of @old and what led to @old, and hands the pushers over. */
gboolean
cm_refresh_token_replace (CmDb *db, const CmToken *old, const CmNewToken *token, GError **error);
/* Forgets @limit of those made before @before_ms. *@more: whether that may not have been all. */
gboolean
cm_refresh_token_forget (CmDb *db, gint64 before_ms, gint64 limit, gboolean *more, GError **error);

/* Tokens that stand for a user for some seconds. */
typedef enum { CM_BRIEF_LOGIN, CM_BRIEF_OPENID } CmBriefKind;

/* Those of the kind that ran out go by the way. */
gboolean cm_brief_token_add (CmDb *db, CmBriefKind kind, const char *hash, const char *user_id,
                             gint64 now, gint64 expires, GError **error);
/* (transfer full) whose it is; NULL without @error when unknown or too old. A login token is used
 * up by this. */
char *
cm_brief_token_user (CmDb *db, CmBriefKind kind, const char *hash, gint64 now, GError **error);

/* Single-use numbers of shared-secret registration. */
gboolean cm_nonce_add (CmDb *db, const char *nonce, gint64 now, gint64 expires, GError **error);
/* CM_ERROR_FORBIDDEN for one that is unknown, used or too old. */
gboolean cm_nonce_take (CmDb *db, const char *nonce, gint64 now, GError **error);

G_END_DECLS

/* `comity user`: accounts, from the command line, beside a running node (which learns of it at
 * once) or without one. */
#include "server/cli/cli.h"

#include "crypto/secret.h"
#include "schema/news.h"
#include "schema/token.h"
#include "server/accounts/accounts.h"
#include "server/node.h"

#include <stdio.h>
#include <string.h>
#include <sodium.h>
#include <termios.h>
#include <unistd.h>

#define LIST_PAGE 500

/* --- Passwords --- */

/* One line from standard input without showing it; NULL at its end. */
static char *
read_line_hidden (void)
{
  struct termios shown;
  gboolean terminal = tcgetattr (STDIN_FILENO, &shown) == 0;
  char buffer[CM_PASSWORD_MAX_BYTES + 2];
  if (terminal) {
    struct termios hidden = shown;
    hidden.c_lflag &= ~(tcflag_t) ECHO;
    tcsetattr (STDIN_FILENO, TCSAFLUSH, &hidden);
  }
  char *line =
      fgets (buffer, sizeof buffer, stdin) ? g_strndup (buffer, strcspn (buffer, "\r\n")) : NULL;
  if (terminal) {
    tcsetattr (STDIN_FILENO, TCSAFLUSH, &shown);
    g_printerr ("\n");
  }
  sodium_memzero (buffer, sizeof buffer);
  return line;
}

static void
free_password (char *password)
{
  if (password)
    sodium_memzero (password, strlen (password));
  g_free (password);
}
typedef char Password;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Password, free_password)

/* Asked for twice on a terminal; the first line of standard input otherwise. */
static char *
ask_password (GError **error)
{
  gboolean terminal = isatty (STDIN_FILENO);
  if (terminal)
    g_printerr ("Password: ");
  g_autoptr (Password) first = read_line_hidden ();
  if (terminal)
    g_printerr ("Once more: ");
  g_autoptr (Password) second = terminal ? read_line_hidden () : g_strdup (first);
  if (first && g_strcmp0 (first, second) == 0)
    return g_steal_pointer (&first);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                       first ? "The two are not the same"
                             : "There is no password on standard input");
  return NULL;
}

static char *
ask_password_hash (const CmConfig *config, GError **error)
{
  g_autoptr (Password) password = ask_password (error);
  return password ? cm_password_hash (password, config->accounts.password_cost, error) : NULL;
}

/* --- What the commands do --- */

typedef struct {
  CmNode *node;
  const CmConfig *config;
  const char *user_id;
  gboolean admin;
  gboolean erase;
  const char *display_name;
} Job;

/* A running node forgets what it remembers of the account. */
static gboolean
tell_node (CmDb *db, const Job *job, GError **error)
{
  return cm_news_tell (db, CM_ACCOUNTS_CHANNEL, job->user_id, error);
}

static gboolean
do_add (const Job *job, GError **error)
{
  g_autofree char *user_id = cm_accounts_new_user_id (job->node, job->user_id, error);
  if (!user_id || !cm_accounts_check_free (job->node, user_id, error))
    return FALSE;
  g_autofree char *hash = ask_password_hash (job->config, error);
  const CmNewAccount account = { .user_id = user_id,
                                 .origin = CM_ORIGIN_LOCAL,
                                 .password_hash = hash,
                                 .display_name = job->display_name,
                                 .admin = job->admin };
  if (!hash || !cm_accounts_create (job->node, &account, error))
    return FALSE;
  g_print ("Made %s.\n", user_id);
  return TRUE;
}

static gboolean
check_local (CmDb *db, const char *user_id, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmAccount) account = cm_account_get (db, user_id, &failure);
  if (failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (account && account->origin == CM_ORIGIN_LOCAL && account->state != CM_ACCOUNT_DEACTIVATED)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "%s is no local account with a password",
               user_id);
  return FALSE;
}

/* Whoever knew the old one is signed out. */
static gboolean
do_passwd (const Job *job, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (job->node->pool, error);
  if (!db || !check_local (db, job->user_id, error))
    return FALSE;
  g_autofree char *hash = ask_password_hash (job->config, error);
  g_autoptr (CmTransaction) transaction = hash ? cm_transaction_begin (db, error) : NULL;
  return transaction && cm_account_set_password (db, job->user_id, hash, error) &&
         cm_token_delete_user (db, job->user_id, error) && tell_node (db, job, error) &&
         cm_transaction_commit (transaction, error);
}

static gboolean
do_deactivate (const Job *job, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (job->node->pool, error);
  return db && cm_account_end (db, job->user_id, job->erase, error) && tell_node (db, job, error);
}

static gboolean
set_locked (const Job *job, gboolean locked, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (job->node->pool, error);
  return db && cm_account_set_locked (db, job->user_id, locked, error) &&
         tell_node (db, job, error);
}

static gboolean
do_lock (const Job *job, GError **error)
{
  return set_locked (job, TRUE, error);
}

static gboolean
do_unlock (const Job *job, GError **error)
{
  return set_locked (job, FALSE, error);
}

static gboolean
do_relink (const Job *job, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (job->node->pool, error);
  return db && cm_account_set_external_id (db, job->user_id, NULL, error);
}

static gboolean
do_list (const Job *job, GError **error)
{
  g_autofree char *after = g_strdup ("");
  g_autoptr (CmDb) db = cm_pool_get (job->node->pool, error);
  while (db) {
    g_autoptr (GPtrArray) page = cm_account_list (db, after, LIST_PAGE, error);
    if (!page)
      return FALSE;
    for (guint i = 0; i < page->len; i++) {
      const CmAccount *account = page->pdata[i];
      g_print ("%-40s %-10s %-11s%s\n", account->user_id, cm_account_origin_text (account->origin),
               cm_account_state_text (account->state), account->admin ? " admin" : "");
    }
    if (page->len < LIST_PAGE)
      return TRUE;
    g_free (after);
    after = g_strdup (((const CmAccount *) page->pdata[page->len - 1])->user_id);
  }
  return FALSE;
}

/* --- How they are called --- */

typedef struct {
  const char *name;
  const char *arguments;
  const char *summary;
  gboolean (*run) (const Job *job, GError **error);
  gboolean named;             /* takes a NAME */
  gboolean existing;          /* which is that of an account */
  const char *const *options; /* takes these beside --config; NULL: none */
} UserCommand;

static const char *const add_options[] = { "admin", "display-name", NULL };
static const char *const deactivate_options[] = { "erase", NULL };

static const UserCommand user_commands[] = {
  { "add", "NAME", "Makes a local account; asks for its password, or reads it from standard input",
    do_add, TRUE, FALSE, add_options },
  { "passwd", "NAME", "Changes the password of a local account and signs it out everywhere",
    do_passwd, TRUE, TRUE },
  { "list", "", "Lists accounts: user id, origin, state", do_list, FALSE, FALSE },
  { "deactivate", "NAME", "Ends an account for good; its name is not given out again",
    do_deactivate, TRUE, TRUE, deactivate_options },
  { "lock", "NAME", "Keeps an account from doing anything, until unlock", do_lock, TRUE, TRUE },
  { "unlock", "NAME", "Lets a locked account in again", do_unlock, TRUE, TRUE },
  { "relink", "NAME", "Lets the directory's present entry of that name in", do_relink, TRUE, TRUE },
};

static const UserCommand *
find_command (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (user_commands); i++) {
    if (strcmp (user_commands[i].name, name) == 0)
      return &user_commands[i];
  }
  return NULL;
}

static gboolean
run_job (const UserCommand *row, Job *job, const char *name, GError **error)
{
  g_autofree char *user_id = NULL;
  job->user_id = name;
  if (row->existing) {
    user_id = cm_accounts_user_id (job->node, name, error);
    job->user_id = user_id;
  }
  return (!row->existing || user_id) && row->run (job, error);
}

/* Of @all options those that @row takes, so that none is accepted without effect. */
static void
pick_options (const UserCommand *row, const GOptionEntry *all, GOptionEntry *picked)
{
  gsize n = 0;
  for (; all->long_name; all++) {
    if (strcmp (all->long_name, "config") == 0 ||
        (row->options && g_strv_contains (row->options, all->long_name)))
      picked[n++] = *all;
  }
}

static int
run_user_command (const CmCommand *command, int argc, char **argv)
{
  const UserCommand *row = find_command (command->name);
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  g_autofree char *display_name = NULL;
  Job job = { 0 };
  const GOptionEntry all[] = {
    CM_CLI_CONFIG (path),
    { "admin", 0, 0, G_OPTION_ARG_NONE, &job.admin, "Make an administrator", NULL },
    { "display-name", 0, 0, G_OPTION_ARG_STRING, &display_name, "The name to show", "TEXT" },
    { "erase", 0, 0, G_OPTION_ARG_NONE, &job.erase,
      "Hide from newcomers what was said, and end the profile", NULL },
    G_OPTION_ENTRY_NULL,
  };
  GOptionEntry options[G_N_ELEMENTS (all)] = { 0 };
  pick_options (row, all, options);
  if (!cm_cli_parse (command, options, &argc, &argv))
    return 2;
  if (row->named && argc != 2) {
    cm_cli_fail ("there must be one NAME, the part of the user id before the colon");
    return 2;
  }
  g_autoptr (CmConfig) config = cm_cli_load_config (path);
  job.config = config;
  job.display_name = display_name;
  job.node = config ? cm_cli_open_node (config) : NULL;
  if (!job.node)
    return 1;
  gboolean done = run_job (row, &job, row->named ? argv[1] : NULL, &error);
  cm_node_stop (job.node);
  return done ? 0 : cm_cli_fail (error->message);
}

int
cm_cli_user (const CmCommand *command, int argc, char **argv)
{
  CmCommand commands[G_N_ELEMENTS (user_commands) + 1] = { 0 };
  for (gsize i = 0; i < G_N_ELEMENTS (user_commands); i++) {
    const UserCommand *row = &user_commands[i];
    commands[i] = (CmCommand){ row->name, row->arguments, row->summary, run_user_command };
  }
  return cm_cli_dispatch ("comity user", commands, argc, argv);
}

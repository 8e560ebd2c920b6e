-- Logins by email address look for it in any case.
CREATE INDEX apus_user_email ON myauth_user (lower(email));

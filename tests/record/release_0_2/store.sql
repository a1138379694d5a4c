BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0301_review');
INSERT INTO "alembic_version" VALUES('0200_backlog');
CREATE TABLE api_keys (
	key_id VARCHAR(16) NOT NULL, 
	name TEXT NOT NULL, 
	role VARCHAR(8) NOT NULL, 
	secret_sha256 VARCHAR(64) NOT NULL, 
	rate_per_s FLOAT, 
	created_at DATETIME NOT NULL, 
	revoked_at DATETIME, 
	PRIMARY KEY (key_id)
);
INSERT INTO "api_keys" VALUES('3292ed0ef345','pipeline','screen','e8ee3b1af885129233f4e7df0c97700de1018ec34bc667d184e87447794a090f',5.0,'2026-11-27 03:09:44.813312',NULL);
CREATE TABLE appeals (
	appeal_id VARCHAR(36) NOT NULL, 
	record_id VARCHAR(36) NOT NULL, 
	item_id VARCHAR(36) NOT NULL, 
	seller_id TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	reference_sha256 TEXT NOT NULL, 
	comparison TEXT NOT NULL, 
	callback_url TEXT NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	created_at DATETIME NOT NULL, 
	due_at DATETIME NOT NULL, 
	decided_at DATETIME, 
	outcome_reason TEXT NOT NULL, 
	PRIMARY KEY (appeal_id)
);
INSERT INTO "appeals" VALUES('01a21afa-f786-713b-b3cc-c6b0b94f90fe','01a21afa-f652-706a-afd1-a721dd9ab364','01a21afa-f788-7701-9906-6628563c8a08','shop','it is genuine','6606954c485a8da50206bf38ed40f6ef4192a26a47f96dd2b6c5f3f4e500823a','{"mismatch": 0.93, "similarity": 0.9, "reference_sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "model": "pair@1"}','','open','2026-11-27 03:09:44.710569','2026-11-30 03:09:44.710569',NULL,'');
CREATE TABLE applied_actions (
	job_id VARCHAR(32) NOT NULL, 
	seq INTEGER NOT NULL, 
	kind VARCHAR(10) NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	path TEXT NOT NULL, 
	target TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	record_id VARCHAR(36) NOT NULL, 
	changed_at DATETIME NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (job_id, seq, kind)
);
CREATE TABLE audit (
	seq INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	actor TEXT NOT NULL, 
	act VARCHAR(32) NOT NULL, 
	subject TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "audit" VALUES(1,'2026-11-27 03:09:44.160068','zhentu','bank.put','bank:allowed','{"brand": "", "colour_limit": 0.15, "enabled_ratio": 1.0, "kind": "allowed", "note": "decided by reviewers: honest", "owners": "", "threshold": 31}','0000000000000000000000000000000000000000000000000000000000000000','f166e23bda70ef6340547cd0ea4147fe6183740e20e2f88225d9d77036485b5a');
INSERT INTO "audit" VALUES(2,'2026-11-27 03:09:44.223811','ann','bank.put','bank:known','{"brand": "", "colour_limit": 0.15, "enabled_ratio": 1.0, "kind": "known_bad", "note": "", "owners": "", "threshold": 31}','f166e23bda70ef6340547cd0ea4147fe6183740e20e2f88225d9d77036485b5a','a3f0bfa3e66db576c96f1c6307ed50b44575368bb38f2ff8079b7bea06b54006');
INSERT INTO "audit" VALUES(3,'2026-11-27 03:09:44.237520','ann','bank.put','bank:acme','{"brand": "Acme", "colour_limit": 0.15, "enabled_ratio": 1.0, "kind": "brand_original", "note": "", "owners": "acme-shop", "threshold": 31}','a3f0bfa3e66db576c96f1c6307ed50b44575368bb38f2ff8079b7bea06b54006','6509fb2f88fe38764f834ea6df743cadcaff141ba92fd2a5d4755bca363b513c');
INSERT INTO "audit" VALUES(4,'2026-11-27 03:09:44.297707','ann','bank.add','bank:known','{"added": 1, "bank": "known", "first_ids": [1], "offered": 1}','6509fb2f88fe38764f834ea6df743cadcaff141ba92fd2a5d4755bca363b513c','b1dc933c42ff08d6b8f2ce6f9bc03135b10f1f200704773d6499cdd604063ee7');
INSERT INTO "audit" VALUES(5,'2026-11-27 03:09:44.300219','ann','bank.add','bank:acme','{"added": 1, "bank": "acme", "first_ids": [2], "offered": 1}','b1dc933c42ff08d6b8f2ce6f9bc03135b10f1f200704773d6499cdd604063ee7','760966d97559726a8653e38c7397715f058a73b57ae896330752fbb0c26a1abc');
INSERT INTO "audit" VALUES(6,'2026-11-27 03:09:44.649753','ann','item.seen','item:01a21afa-f6fa-7698-85e4-c164dbe085cb','{"kind": "screening", "model": "tiny@1", "record_id": "01a21afa-f652-706a-afd1-a721dd9ab364"}','760966d97559726a8653e38c7397715f058a73b57ae896330752fbb0c26a1abc','743587df95967b344c317bfc7f765565c4f2d33021bc97f465f08f91a5a7ed14');
INSERT INTO "audit" VALUES(7,'2026-11-27 03:09:44.650460','ann','item.seen','item:01a21afa-f6fa-7698-85e4-c166825f9f8b','{"kind": "screening", "model": "tiny@1", "record_id": "01a21afa-f6b4-7593-8960-8f9caf9a7630"}','743587df95967b344c317bfc7f765565c4f2d33021bc97f465f08f91a5a7ed14','5d7af14e8640bc1285bd5480617766fe2db683fcf7ed9ba6a5355361473735ce');
INSERT INTO "audit" VALUES(8,'2026-11-27 03:09:44.681265','ann','item.decide','item:01a21afa-f6fa-7698-85e4-c164dbe085cb','{"category": "ai_generated", "decision_id": "01a21afa-f753-7012-b87a-b6c3db52f9c0", "model": "tiny@1", "note": "", "outcome": "uphold", "picture_sha256": "5a9e02101783f6bb494f2c2bc416533958f0652033b72fa489528770a0f35b7a", "policy_version": "2026-11-24", "record_id": "01a21afa-f652-706a-afd1-a721dd9ab364", "together": "01a21afa-f753-7012-b87a-b6c3db52f9c0"}','5d7af14e8640bc1285bd5480617766fe2db683fcf7ed9ba6a5355361473735ce','43ce10e94b29848427241b89d6a77e14ae6d4205453342e00833188b28d9db32');
INSERT INTO "audit" VALUES(9,'2026-11-27 03:09:44.684352','ann','bank.add','bank:allowed','{"added": 1, "bank": "allowed", "first_ids": [3], "offered": 1}','43ce10e94b29848427241b89d6a77e14ae6d4205453342e00833188b28d9db32','8adc1a65b14551ead1c841994ba4fb194d622ba5d8366a785aca973b5e7bd2a5');
INSERT INTO "audit" VALUES(10,'2026-11-27 03:09:44.697679','ann','item.decide','item:01a21afa-f6fa-7698-85e4-c166825f9f8b','{"category": "", "decision_id": "01a21afa-f76a-7386-8155-28efc8be805e", "model": "tiny@1", "note": "真图", "outcome": "overturn", "picture_sha256": "0fd17f3bc918fe9cd169ab5277eb7bef2db4c025828ea1d738c88375335180a2", "policy_version": "2026-11-24", "record_id": "01a21afa-f6b4-7593-8960-8f9caf9a7630", "together": "01a21afa-f76a-7386-8155-28efc8be805e"}','8adc1a65b14551ead1c841994ba4fb194d622ba5d8366a785aca973b5e7bd2a5','68e6c5007b440e070c4a340de860f51616d7b22ee7ba2cd6ed4a94b757b5ae3b');
INSERT INTO "audit" VALUES(11,'2026-11-27 03:09:44.710569','seller:shop','appeal.open','item:01a21afa-f788-7701-9906-6628563c8a08','{"reason": "it is genuine", "record_id": "01a21afa-f652-706a-afd1-a721dd9ab364", "references": ["6606954c485a8da50206bf38ed40f6ef4192a26a47f96dd2b6c5f3f4e500823a"]}','68e6c5007b440e070c4a340de860f51616d7b22ee7ba2cd6ed4a94b757b5ae3b','5118cdb238a81d48040130176c6237980099057cb4ab522a7577bf879c1cd0fd');
CREATE TABLE audit_head (
	one INTEGER NOT NULL, 
	seq INTEGER NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	PRIMARY KEY (one)
);
INSERT INTO "audit_head" VALUES(1,11,'5118cdb238a81d48040130176c6237980099057cb4ab522a7577bf879c1cd0fd');
CREATE TABLE bank_entries (
	entry_id INTEGER NOT NULL, 
	bank VARCHAR(64) NOT NULL, 
	sha256 BLOB, 
	pdq BLOB, 
	quality INTEGER NOT NULL, 
	colour BLOB, 
	source TEXT NOT NULL, 
	seller_id TEXT NOT NULL, 
	note TEXT NOT NULL, 
	expires_at DATETIME, 
	created_at DATETIME NOT NULL, 
	created_by TEXT NOT NULL, 
	removed_at DATETIME, 
	removed_by TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	PRIMARY KEY (entry_id)
);
INSERT INTO "bank_entries" VALUES(1,'known',X'6606954C485A8DA50206BF38ED40F6EF4192A26A47F96DD2B6C5F3F4E500823A',NULL,100,NULL,'import:old.csv','','',NULL,'2026-11-27 03:09:44.239018','ann',NULL,'',4);
INSERT INTO "bank_entries" VALUES(2,'acme',NULL,X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F',90,NULL,'api','','原图',NULL,'2026-11-27 03:09:44.299104','ann',NULL,'',5);
INSERT INTO "bank_entries" VALUES(3,'allowed',X'0FD17F3BC918FE9CD169AB5277EB7BEF2DB4C025828EA1D738C88375335180A2',NULL,100,NULL,'review','shop','decision 01a21afa-f76a-7386-8155-28efc8be805e',NULL,'2026-11-27 03:09:44.683624','ann',NULL,'',6);
CREATE TABLE bank_pictures (
	entry_id INTEGER NOT NULL, 
	jpeg BLOB NOT NULL, 
	PRIMARY KEY (entry_id)
);
CREATE TABLE bank_revision (
	one INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	PRIMARY KEY (one)
);
INSERT INTO "bank_revision" VALUES(1,6);
CREATE TABLE banks (
	name VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	threshold INTEGER NOT NULL, 
	colour_limit FLOAT NOT NULL, 
	enabled_ratio FLOAT NOT NULL, 
	brand TEXT NOT NULL, 
	owners TEXT NOT NULL, 
	note TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "banks" VALUES('allowed','allowed',31,0.15,1.0,'','','decided by reviewers: honest');
INSERT INTO "banks" VALUES('known','known_bad',31,0.15,1.0,'','','');
INSERT INTO "banks" VALUES('acme','brand_original',31,0.15,1.0,'Acme','acme-shop','');
CREATE TABLE claims (
	claim VARCHAR(64) NOT NULL, 
	request_sha256 VARCHAR(64) NOT NULL, 
	record_id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (claim)
);
INSERT INTO "claims" VALUES('167554b6c61443b5657681e3f5987c99fdec1c638b5de725f8982c1f40925252','22fe144894a15afd3cc2907e98b55eb534bc3a0a9e55a60145707758248a5f8a','01a21afa-f652-706a-afd1-a721dd9ab364','2026-11-27 03:09:44.402629');
INSERT INTO "claims" VALUES('f9764d02f8d95b8ecc85b909768590283771ff154fdd1ce89bb9d262265fb82e','f9764d02f8d95b8ecc85b909768590283771ff154fdd1ce89bb9d262265fb82e','01a21afa-f652-706a-afd1-a721dd9ab364','2026-11-27 03:09:44.402629');
INSERT INTO "claims" VALUES('b382471b2d031abba17a3256c2c0a411e89d5b7754246480b52451f029511efc','87885260a25ff07a2cbce2ae4d07d8e5fb27d94ec04a1f030fc16ac8013f4fd3','01a21afa-f6b4-7593-8960-8f9caf9a7630','2026-11-27 03:09:44.500177');
INSERT INTO "claims" VALUES('5f9e77e8b38fe5f7a61afdaf1694266fd302ef2ae41724754c074bce8996c022','5f9e77e8b38fe5f7a61afdaf1694266fd302ef2ae41724754c074bce8996c022','01a21afa-f6b4-7593-8960-8f9caf9a7630','2026-11-27 03:09:44.500177');
INSERT INTO "claims" VALUES('da9ea39ee11a64782a719aae02072e4ac158dc1d81b5bc9df309486ee01ad3b3','cc973ab55e7ceac2e5645d024ef17f956e0b50a38f72c207880e370c6aad14c6','01a21afa-f6c1-7424-bd5a-284cd2f44a6a','2026-11-27 03:09:44.513075');
INSERT INTO "claims" VALUES('2cf6f4afd9698a537979dc926b20b2b89c6fb6f0d6704ddc2a60c2a3b5adf9bb','2cf6f4afd9698a537979dc926b20b2b89c6fb6f0d6704ddc2a60c2a3b5adf9bb','01a21afa-f6c1-7424-bd5a-284cd2f44a6a','2026-11-27 03:09:44.513075');
INSERT INTO "claims" VALUES('79a57821773cf12ef19d0731e8509f3b818eb960a44b3d8e53ad44a6dc85471d','79a57821773cf12ef19d0731e8509f3b818eb960a44b3d8e53ad44a6dc85471d','01a21afa-f6ce-757f-9e15-1db355136df4','2026-11-27 03:09:44.526735');
INSERT INTO "claims" VALUES('7bf11064ad4cd944b0caf06be6e40ecd2e10640bad41d9b659bac169926d748b','944ced3c8a4d9075b6867ce0384d3ecc41355dafe63d83d915c5397448a0cd7d','01a21afa-f7e4-7167-9caf-cd2ae21905bc','2026-11-27 03:09:44.804977');
INSERT INTO "claims" VALUES('3ebb262e5075b3ee9ff596948837befe0d21599fba370de097c9fbaefea57769','3ebb262e5075b3ee9ff596948837befe0d21599fba370de097c9fbaefea57769','01a21afa-f7e4-7167-9caf-cd2ae21905bc','2026-11-27 03:09:44.804977');
INSERT INTO "claims" VALUES('eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','0193a0b0-0000-7000-8000-000000000001','2026-11-27 03:09:44.804977');
CREATE TABLE in_force (
	change_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	name TEXT NOT NULL, 
	changed_at DATETIME NOT NULL, 
	PRIMARY KEY (change_id)
);
INSERT INTO "in_force" VALUES('01a21afa-f7ee-760a-b6b1-1357f669e373','model','tiny@1','2026-11-27 03:09:44.814782');
CREATE TABLE job_pictures (
	job_id VARCHAR(36) NOT NULL, 
	position INTEGER NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	due_at DATETIME NOT NULL, 
	attempts INTEGER NOT NULL, 
	request TEXT NOT NULL, 
	payload BLOB, 
	record_id VARCHAR(36), 
	error_code TEXT NOT NULL, 
	error_detail TEXT NOT NULL, 
	PRIMARY KEY (job_id, position)
);
INSERT INTO "job_pictures" VALUES('01a21afa-f7f0-774f-898d-02316dccd614',0,'queued','2026-11-27 03:09:44.822241',0,'{"name":"late.jpg","listing":{"listing_id":"L0","seller_id":"shop","goods":"","title":"连衣裙","declared_ai":false,"declared_attributes":{}},"payload":null,"url":"","references":["_9j_4AAQSkZJRgABAQAAAQABAAD_2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcpLDAxNDQ0Hyc5PTgyPC4zNDL_2wBDAQkJCQwLDBgNDRgyIRwhMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjL_wAARCABAAGADASIAAhEBAxEB_8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL_8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4-Tl5ufo6erx8vP09fb3-Pn6_8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL_8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3-Pn6_9oADAMBAAIRAxEAPwDMhnXcOa6bSZAcc15dbao5ccmu78PXZk25NexxFiYyoNI9WhVUZHX3J_dVyWpPhzXVXLjyOvauK1aYB25r4rJq6hNtnlZzlk8e04HP3zjeas6Kw89frWPfTEscVb0OU_aVz619qs1g4chrgsJLB0eWR7Horf6Ov0qe-nVVOTVDR5lFqCT2rF8Q6t5IbBrgor2dT2j2DC4lU612LqFwrAgEVzNwCZCRVEay0823NbVpCJ1DGuvEzWK0ia5rl08yV6ZFaIQc1qp0pFthGKeMCunDUHCNmfH1YPAPkmcdH4ZeMg7TW7p8RscZ4xWw99bEcYrMu5VkB2V8_mftKlOx9PlGIjUqpVXZE95rYWIjdXJahqXmueetT3ltM4OM1kyafMXBIPWtOHMtoTv7Z2PssVOhTp_uHcs29ibw5xnNbFtpBtCHIxU2hxLCF3ity_miNuQuM4qsywPs6_7rVH5fj8wx8sXyKL5Simvi0Ty91ZGo3p1DODnNY-pRzPOSucZq5pcDgjfXNjK8oUbH3GCwFCVFTqPUit9OZJdxFdJZ3AgQA0hRQnQVQnYgnFelwz--fvnp0atLDrlgzVl1EY61XOoj1rIIdvWm-VIfWvrKzoU3a5x4jIKWPlzyMiHVLgsMk10WmTmYjeaojSAnOKmTNr07V8fVzGhUVjxMXwzieX907M6pLaF05xUU1lB2xXPnWWQYzTF1pnbGa4fZVasr0XYxy_DYnAS_2l3NG4Bh-5VZJZpWw2cVo2Mf2zGe9bCaOiDdivqsHSUaPLV1Z9W6-BnR5nFXMOPTlkXcwpXt0g6cVrzKsAxWDqFzjOK4quTyxMmonxlfFVKlVxpvQHm7Zqu2GNURcMz1aUsUzXPOg8p3NqftqbvJliNUHXFTgReorn7y8eHOM1lPrUqnqa5JUsRjHzwZ9LhM7p0Y2kd6yAiqc9n5mcCtACp44wa-Lq1nBXRDzyoc02kMx6UseisrZxXXx26k9Kna2UJ0r0sqzScXY4q9d4tXkYdi32PGe1aE2uqqY3VmamfLzjiuWvLpwTya-2wOJlWkrnzuIxEqcvZo6C61kSMfmqizfaTXNi5Yv1rodJO8jNe3mmJeAw3tYHs5RgY1ZqTLdtpZdgcVtQaMWTG2r1hCpxxXR2dupxxX5JmPEFbHVLTPWzXCxpx0OJuPCTXGcJWe3gF2Odh_KvaLOwjcDKitVNLhxyor3srzGdOmkj5eVFSP_9k="],"note":""}',X'FFD8FFE000104A46494600010100000100010000FFDB004300080606070605080707070909080A0C140D0C0B0B0C1912130F141D1A1F1E1D1A1C1C20242E2720222C231C1C2837292C30313434341F27393D38323C2E333432FFDB0043010909090C0B0C180D0D1832211C213232323232323232323232323232323232323232323232323232323232323232323232323232323232323232323232323232FFC00011080040006003012200021101031101FFC4001F0000010501010101010100000000000000000102030405060708090A0BFFC400B5100002010303020403050504040000017D01020300041105122131410613516107227114328191A1082342B1C11552D1F02433627282090A161718191A25262728292A3435363738393A434445464748494A535455565758595A636465666768696A737475767778797A838485868788898A92939495969798999AA2A3A4A5A6A7A8A9AAB2B3B4B5B6B7B8B9BAC2C3C4C5C6C7C8C9CAD2D3D4D5D6D7D8D9DAE1E2E3E4E5E6E7E8E9EAF1F2F3F4F5F6F7F8F9FAFFC4001F0100030101010101010101010000000000000102030405060708090A0BFFC400B51100020102040403040705040400010277000102031104052131061241510761711322328108144291A1B1C109233352F0156272D10A162434E125F11718191A262728292A35363738393A434445464748494A535455565758595A636465666768696A737475767778797A82838485868788898A92939495969798999AA2A3A4A5A6A7A8A9AAB2B3B4B5B6B7B8B9BAC2C3C4C5C6C7C8C9CAD2D3D4D5D6D7D8D9DAE2E3E4E5E6E7E8E9EAF2F3F4F5F6F7F8F9FAFFDA000C03010002110311003F00CC8675DC39AE9B49901C735E5D6DAA3971C9AEEFC3D7664DB935EC71162632A0D23D5A15546475F727F755C96A4F8735D55CB8F23AF6AE2B5698076E6BE2B26AEA136D9E5673964F1ED381CFDF38DE6ACE8AC3CF5FAD63DF4C4B1C55BD0E53F695CFAD7DAACD60E1C86B82C24B07479647B1E8ADFE8EBF4A9EFA7555393543479945A824F6AC5F10EADE486C1AE0A2BD9D4F68F60C2E2553AD762EA170AC08045733700990915446B2D3CDB735B569089D431AEBC4CD62B489AE6B974F3257A64568841CD6AA74A45B6118A78C0AE9C350708D99F1F560F00F92671D1F865E320ED35BBA7C46C719E315B0F7D6C4718ACCBB956407657CFE67ED2A53B1F4F94622352AA555D913DE6B61622375725A86A5E6B9E7AD4F796D33838CD64C9A7CC5C120F5AD38732DA13BFB6763ECB153A14E9FEE1DCB36F626F0E719CD6C5B6906D0872315368712C21778ADCBF9A236E42E338AACCB03ECEBFEEB547E5F8FCC31F2C5F228BE528A6BE2D13CBDD591A8DE9D433839CD63EA51CCF392B9C66AE697038237D73632BCA146C7DC60B01425454EA3D48ADF4E64977115D259DC08100348514274154276209C57A5C33FBE7EF9E9D1AB4B0EB960CD5975118EB55CEA23D6B20876F5A6F9521F5AFACACE85376B9C788C82963E5CF23221D52E0B0C935D169939988DE6A88D202738A99336BD3B57C7D5CC6854563C4C5F0CE2797F74ECCEA92DA174E71514D65076C573E7596418CD3175A676C66B87D955AB2BD17631CBF0D89C04BFDA5DCD1B8061FB9559259A56C36715A3631FDB319EF5B09A3A20DD8AFAAC1D251A3CB57567D5BAF819D1E6715730E3D39645DCC295EDD20E9C56BCCAB00C560EA1738CE2B8AAE4F2C4C9A89F195F1552A5571A6F4079BB66ABB618D51170CCF5694B14CD73CE83CA7736A7EDA9BBC99623541D71538117A8AE7EF2F1E1CE33594FAD4AA7A9AE4952C4631F3C19F4B84CEE9D18DA477AC808AA73D9F999C0AD002A78E306BE2EAD67057443CF2A1CD3690CC7A52C7A2B2B6715D7C76EA4F4A9DAD94274AF4B2ACD2717638ABD778B57918762DF63C67B5684DAEAAA6375666A67CBCE38AE5AF2E9C13C9AFB6C0E2655A4AE7CEE23112A72F668E82EB591231F9AA8B37DA4D7362E58BF5AE87493BC8CD7B79A625E030DED607B3946063566A4CB76DA59760715B5068C5931B6AF5842A71C5747676EA71C57E4998F1056C754B4CF5B35C2C69C74389B8F0935C670959EDE017639D87F2AF68B3B08DC0CA8AD54D2E1C72A2BDECAF319D3A6923E5E54548FFFD9',NULL,'','');
CREATE TABLE jobs (
	job_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(10) NOT NULL, 
	callback_url TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	PRIMARY KEY (job_id)
);
INSERT INTO "jobs" VALUES('01a21afa-f7f0-774f-898d-02316dccd614','deferred','','2026-11-27 03:09:44.820072',NULL);
CREATE TABLE known_decisions (
	digest VARCHAR(64) NOT NULL, 
	record_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (digest)
);
INSERT INTO "known_decisions" VALUES('de6f120b59e726c1a9890d690df5d0bc8567786070c625b06009002c496bb1d3','01a21afb-1708-7181-af97-2fc3dac08d98');
INSERT INTO "known_decisions" VALUES('9a598ec8acf70e439e0a3823525120fd3c75993e2a540528d22d893532a418f5','01a21afb-1748-72ea-a8f2-dab9eafcbf0e');
CREATE TABLE known_verdicts (
	picture_sha256 VARCHAR(64) NOT NULL, 
	model_sha256 VARCHAR(64) NOT NULL, 
	record_id VARCHAR(36) NOT NULL, 
	pdq VARCHAR(64) NOT NULL, 
	colour VARCHAR(96) NOT NULL, 
	PRIMARY KEY (picture_sha256, model_sha256)
);
INSERT INTO "known_verdicts" VALUES('3b36495fe003f3accb8db30aa6ae9f7ecee0f55a2f700c40e7cc1c9302e8fa14','1dd36082666bd3b30dccb6277ef9205d0ec7825d59ed7d1384ee7604379b4bba','01a21afb-1708-7181-af97-2fc3dac08d98','07f8fd8119f3c70c5ee28d866d2ad07a452bf07b45aa2f860ad40f855ac3f13d','9eb467bca767a57d363d703e485cc560766cc16d5b679e81a55e5b8b886b8c83ad83597e9f66a378609981814cb28057');
INSERT INTO "known_verdicts" VALUES('93cde93c4ea1aa748e6d2287fa724daba97752f86200dd3c060fb56bc973e8d6','1dd36082666bd3b30dccb6277ef9205d0ec7825d59ed7d1384ee7604379b4bba','01a21afb-1748-72ea-a8f2-dab9eafcbf0e','47fd5112b6a13a803ca9f922b3dfc6cfc64a6a9786de3568a83d39a0bd20770a','797b359e9e699cb3417f85b2946a28574a7f8a4686a16a89b77b7d3f90a12c837a59878981799eb686dc6ec38e777454');
CREATE TABLE outbox (
	message_id VARCHAR(40) NOT NULL, 
	kind TEXT NOT NULL, 
	url TEXT NOT NULL, 
	body TEXT NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	attempts INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	due_at DATETIME NOT NULL, 
	delivered_at DATETIME, 
	last_error TEXT NOT NULL, 
	PRIMARY KEY (message_id)
);
INSERT INTO "outbox" VALUES('msg_01a21afaf653764e900e96ac6cb00e5b','picture.screened','http://127.0.0.1:9/hook','{"type": "picture.screened", "timestamp": "2026-11-27T03:09:44.403408+00:00", "data": {"record_id": "01a21afa-f652-706a-afd1-a721dd9ab364", "sha256": "5a9e02101783f6bb494f2c2bc416533958f0652033b72fa489528770a0f35b7a", "width": 96, "height": 64, "action": "review", "decided": "review", "mode": "enforce", "scores": {"material_mismatch": 0.95, "exaggerated_effect": 0.95, "scene_distortion": 0.95, "cutout_artifact": 0.95, "ai_generated": 0.95, "forged": 0.95}, "reasons": [{"code": "score_material_mismatch", "action": "review", "en": "The fabric, surface, colour pattern or print of the goods looks replaced by editing; buyers may receive goods of another material or style. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品的面料、质感、花色或印花疑似经过替换，买家收到的商品材质或款式可能与图片不符。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_exaggerated_effect", "action": "review", "en": "The look of the goods or of the skin seems pushed by retouching beyond what they can show. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品或皮肤的效果疑似经过过度修饰，超出真实可达到的程度。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_scene_distortion", "action": "review", "en": "The scene, its size relations, light or shapes look impossible or put together. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "场景、比例、光线或形状疑似不真实或由多张图片拼合。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_cutout_artifact", "action": "review", "en": "The goods look cut out and pasted: rough edges, fringes, or pixels that do not match the background. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品疑似抠图后粘贴：边缘粗糙、有杂边，或与背景画质不一致。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_ai_generated", "action": "label", "en": "The picture carries traces of AI generation. That is no offence, but it must be labelled. (score 0.95, limit 0.80) It stays online with a label.", "zh": "图片带有 AI 生成的痕迹。这并不违规，但必须加以标识。（得分 0.95，阈值 0.80）图片可继续展示，并将添加标识。", "score": 0.95, "threshold": 0.8}], "evidence": [{"kind": "hash", "name": "bank_no_match", "detail": "no bank knows this picture", "trust": "measured", "location": ""}, {"kind": "model", "name": "model_scores", "detail": "tiny@1 gives 0.950 that any of the five holds", "trust": "measured", "location": ""}], "notice": {"state": 3, "en": "Suspected AI-generated content", "zh": "疑似人工智能生成内容"}, "label": {"en": "AI-generated", "zh": "AI生成", "aigc_label": "3"}, "basis": "picture alone", "deferred": false, "model": "tiny@1", "policy": "2026-11-24", "latency_ms": 50.493735999225464}}','pending',1,'2026-11-27 03:09:44.403562','2026-11-27 03:09:49.816770',NULL,'port 9 is not among those allowed (80, 443)');
INSERT INTO "outbox" VALUES('msg_01a21afaf6b573be8f0454d59acf5e18','picture.screened','http://127.0.0.1:9/hook','{"type": "picture.screened", "timestamp": "2026-11-27T03:09:44.501122+00:00", "data": {"record_id": "01a21afa-f6b4-7593-8960-8f9caf9a7630", "sha256": "0fd17f3bc918fe9cd169ab5277eb7bef2db4c025828ea1d738c88375335180a2", "width": 96, "height": 64, "action": "review", "decided": "review", "mode": "enforce", "scores": {"material_mismatch": 0.95, "exaggerated_effect": 0.95, "scene_distortion": 0.95, "cutout_artifact": 0.95, "ai_generated": 0.95, "forged": 0.95}, "reasons": [{"code": "declaration_declared_ai", "action": "label", "en": "You declared this picture as AI-made. It stays online with a label.", "zh": "您已声明该图片由 AI 制作。图片可继续展示，并将添加标识。", "score": null, "threshold": null}, {"code": "score_material_mismatch", "action": "review", "en": "The fabric, surface, colour pattern or print of the goods looks replaced by editing; buyers may receive goods of another material or style. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品的面料、质感、花色或印花疑似经过替换，买家收到的商品材质或款式可能与图片不符。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_exaggerated_effect", "action": "review", "en": "The look of the goods or of the skin seems pushed by retouching beyond what they can show. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品或皮肤的效果疑似经过过度修饰，超出真实可达到的程度。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_scene_distortion", "action": "review", "en": "The scene, its size relations, light or shapes look impossible or put together. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "场景、比例、光线或形状疑似不真实或由多张图片拼合。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_cutout_artifact", "action": "review", "en": "The goods look cut out and pasted: rough edges, fringes, or pixels that do not match the background. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品疑似抠图后粘贴：边缘粗糙、有杂边，或与背景画质不一致。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_ai_generated", "action": "label", "en": "The picture carries traces of AI generation. That is no offence, but it must be labelled. (score 0.95, limit 0.80) It stays online with a label.", "zh": "图片带有 AI 生成的痕迹。这并不违规，但必须加以标识。（得分 0.95，阈值 0.80）图片可继续展示，并将添加标识。", "score": 0.95, "threshold": 0.8}], "evidence": [{"kind": "hash", "name": "bank_no_match", "detail": "no bank knows this picture", "trust": "measured", "location": ""}, {"kind": "declaration", "name": "declared_ai", "detail": "the uploader declared AI use", "trust": "declared", "location": "upload form"}, {"kind": "model", "name": "model_scores", "detail": "tiny@1 gives 0.950 that any of the five holds", "trust": "measured", "location": ""}], "notice": {"state": 2, "en": "Possibly AI-generated content", "zh": "可能为人工智能生成内容"}, "label": {"en": "AI-generated", "zh": "AI生成", "aigc_label": "2"}, "basis": "picture alone", "deferred": false, "model": "tiny@1", "policy": "2026-11-24", "latency_ms": 2.9074050007693586}}','pending',1,'2026-11-27 03:09:44.501301','2026-11-27 03:09:49.836292',NULL,'port 9 is not among those allowed (80, 443)');
INSERT INTO "outbox" VALUES('msg_01a21afaf6c17424bd5a284dc8d47737','picture.screened','http://127.0.0.1:9/hook','{"type": "picture.screened", "timestamp": "2026-11-27T03:09:44.513779+00:00", "data": {"record_id": "01a21afa-f6c1-7424-bd5a-284cd2f44a6a", "sha256": "5f1ede82a40dcf2ae9bbc1f29772d8fb0f8757a25bdba55c837b7bab2f07952f", "width": 96, "height": 64, "action": "review", "decided": "review", "mode": "enforce", "scores": {"material_mismatch": 0.95, "exaggerated_effect": 0.95, "scene_distortion": 0.95, "cutout_artifact": 0.95, "ai_generated": 0.95, "forged": 0.95}, "reasons": [{"code": "score_material_mismatch", "action": "review", "en": "The fabric, surface, colour pattern or print of the goods looks replaced by editing; buyers may receive goods of another material or style. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品的面料、质感、花色或印花疑似经过替换，买家收到的商品材质或款式可能与图片不符。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_exaggerated_effect", "action": "review", "en": "The look of the goods or of the skin seems pushed by retouching beyond what they can show. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品或皮肤的效果疑似经过过度修饰，超出真实可达到的程度。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_scene_distortion", "action": "review", "en": "The scene, its size relations, light or shapes look impossible or put together. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "场景、比例、光线或形状疑似不真实或由多张图片拼合。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_cutout_artifact", "action": "review", "en": "The goods look cut out and pasted: rough edges, fringes, or pixels that do not match the background. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品疑似抠图后粘贴：边缘粗糙、有杂边，或与背景画质不一致。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_ai_generated", "action": "label", "en": "The picture carries traces of AI generation. That is no offence, but it must be labelled. (score 0.95, limit 0.80) It stays online with a label.", "zh": "图片带有 AI 生成的痕迹。这并不违规，但必须加以标识。（得分 0.95，阈值 0.80）图片可继续展示，并将添加标识。", "score": 0.95, "threshold": 0.8}], "evidence": [{"kind": "hash", "name": "bank_no_match", "detail": "no bank knows this picture", "trust": "measured", "location": ""}, {"kind": "model", "name": "model_scores", "detail": "tiny@1 gives 0.950 that any of the five holds", "trust": "measured", "location": ""}], "notice": {"state": 3, "en": "Suspected AI-generated content", "zh": "疑似人工智能生成内容"}, "label": {"en": "AI-generated", "zh": "AI生成", "aigc_label": "3"}, "basis": "picture alone", "deferred": false, "model": "tiny@1", "policy": "2026-11-24", "latency_ms": 2.9732329994658357}}','pending',1,'2026-11-27 03:09:44.513931','2026-11-27 03:09:49.841530',NULL,'port 9 is not among those allowed (80, 443)');
INSERT INTO "outbox" VALUES('msg_01a21afaf6cf72e3af4d3b25c86f0a56','picture.screened','http://127.0.0.1:9/hook','{"type": "picture.screened", "timestamp": "2026-11-27T03:09:44.527423+00:00", "data": {"record_id": "01a21afa-f6ce-757f-9e15-1db355136df4", "sha256": "6606954c485a8da50206bf38ed40f6ef4192a26a47f96dd2b6c5f3f4e500823a", "width": 96, "height": 64, "action": "review", "decided": "review", "mode": "enforce", "scores": {}, "reasons": [{"code": "bank_known_bad", "action": "review", "en": "This is the same file as a picture that was found untrue before. A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "该文件与此前已被认定不实的图片完全相同。审核人员将先行查看，您可以补充商品实拍图。", "score": null, "threshold": null}], "evidence": [{"kind": "hash", "name": "bank_known_bad", "detail": "bank known, entry 1, sha256 (the same bytes): the same file", "trust": "measured", "location": "known"}, {"kind": "model", "name": "model_not_asked", "detail": "a bank knows these very bytes; the model was not run", "trust": "measured", "location": ""}], "notice": null, "label": null, "basis": "", "deferred": false, "model": "", "policy": "2026-11-24", "latency_ms": 3.757129000405257}}','pending',1,'2026-11-27 03:09:44.527548','2026-11-27 03:09:49.844180',NULL,'port 9 is not among those allowed (80, 443)');
INSERT INTO "outbox" VALUES('msg_01a21afaf7e675688ce42f7715e6466d','picture.screened','http://127.0.0.1:9/hook','{"type": "picture.screened", "timestamp": "2026-11-27T03:09:44.806021+00:00", "data": {"record_id": "01a21afa-f7e4-7167-9caf-cd2ae21905bc", "sha256": "d7700852e73aa4f72d4d92f2f385b205c4b2e6d025d414f99e6a5fab0e1a1b8f", "width": 96, "height": 64, "action": "review", "decided": "review", "mode": "enforce", "scores": {"material_mismatch": 0.95, "exaggerated_effect": 0.95, "scene_distortion": 0.95, "cutout_artifact": 0.95, "ai_generated": 0.95, "forged": 0.95}, "reasons": [{"code": "score_material_mismatch", "action": "review", "en": "The fabric, surface, colour pattern or print of the goods looks replaced by editing; buyers may receive goods of another material or style. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品的面料、质感、花色或印花疑似经过替换，买家收到的商品材质或款式可能与图片不符。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_exaggerated_effect", "action": "review", "en": "The look of the goods or of the skin seems pushed by retouching beyond what they can show. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品或皮肤的效果疑似经过过度修饰，超出真实可达到的程度。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_scene_distortion", "action": "review", "en": "The scene, its size relations, light or shapes look impossible or put together. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "场景、比例、光线或形状疑似不真实或由多张图片拼合。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_cutout_artifact", "action": "review", "en": "The goods look cut out and pasted: rough edges, fringes, or pixels that do not match the background. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "商品疑似抠图后粘贴：边缘粗糙、有杂边，或与背景画质不一致。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。", "score": 0.95, "threshold": 0.9}, {"code": "score_ai_generated", "action": "label", "en": "The picture carries traces of AI generation. That is no offence, but it must be labelled. (score 0.95, limit 0.80) It stays online with a label.", "zh": "图片带有 AI 生成的痕迹。这并不违规，但必须加以标识。（得分 0.95，阈值 0.80）图片可继续展示，并将添加标识。", "score": 0.95, "threshold": 0.8}, {"code": "comparison_material_mismatch", "action": "review", "en": "The goods look unlike the reference pictures (score 0.93, limit 0.50). A reviewer looks at it before anything happens; you may send a photo of the real goods.", "zh": "图中商品与参考图片不符（得分 0.93，阈值 0.50）。审核人员将先行查看，您可以补充商品实拍图。", "score": 0.93, "threshold": 0.5}], "evidence": [{"kind": "hash", "name": "bank_no_match", "detail": "no bank knows this picture", "trust": "measured", "location": ""}, {"kind": "model", "name": "model_scores", "detail": "tiny@1 gives 0.950 that any of the five holds", "trust": "measured", "location": ""}, {"kind": "reference", "name": "reference_comparison", "detail": "pair@1: mismatch 0.930, similarity 0.900 to the closest of 1 references, sha256 aaaaaaaaaaaaaaaa", "trust": "measured", "location": ""}], "notice": {"state": 3, "en": "Suspected AI-generated content", "zh": "疑似人工智能生成内容"}, "label": {"en": "AI-generated", "zh": "AI生成", "aigc_label": "3"}, "basis": "reference", "deferred": false, "model": "tiny@1", "policy": "2026-11-24", "latency_ms": 3.738311000233807}}','pending',1,'2026-11-27 03:09:44.806503','2026-11-27 03:09:49.846480',NULL,'port 9 is not among those allowed (80, 443)');
CREATE TABLE prints (
	sha256 VARCHAR(64) NOT NULL, 
	pdq BLOB NOT NULL, 
	quality INTEGER NOT NULL, 
	colour BLOB NOT NULL, 
	seen_at DATETIME NOT NULL, 
	PRIMARY KEY (sha256)
);
INSERT INTO "prints" VALUES('5a9e02101783f6bb494f2c2bc416533958f0652033b72fa489528770a0f35b7a',X'AC7E2AE34A117DF35384233352F6A39C531BA46ED23A3B916CE4BC631789278C',100,X'6BB39D6BA847A2A0636F7D775EA486607F78957F7D677FADB497AF60985E7691B0A5B54BBA6AC2AA9C367542B3867899','2026-11-27 03:09:44.850205');
INSERT INTO "prints" VALUES('0fd17f3bc918fe9cd169ab5277eb7bef2db4c025828ea1d738c88375335180a2',X'2B630FE8DA6A27515FEF1A548667970E1B12A46D2F321B92E46D78717258331B',100,X'C85B60B28E585E7879847C8390C8657D52AB754D7E98866B7A93A26A7E9C826EB3A169475D70767E8597CB806E72C376','2026-11-27 03:09:44.850209');
INSERT INTO "prints" VALUES('5f1ede82a40dcf2ae9bbc1f29772d8fb0f8757a25bdba55c837b7bab2f07952f',X'4900E505AEA7A39F14A7711553FEEE63952A8E4446AAF13B6AD5211C7DE3864F',100,X'C17C7F9D7666366B8C544AA7A5543C49842D4174862972876C427A6973778F9B6B5191AB598DBF9B90A05F5AB08E49B0','2026-11-27 03:09:44.850211');
INSERT INTO "prints" VALUES('6606954c485a8da50206bf38ed40f6ef4192a26a47f96dd2b6c5f3f4e500823a',X'6557A065D542EEBD396208BDD9197B92525D3EC24AD9E13DBD222C6D0C622ECD',100,X'A67281585D7AAE89B8518BAC94685C5A607B934E4CAA38D3636068AC53A26A6F9D86486CAA741A6F758F8D4999A6AF74','2026-11-27 03:09:44.850213');
INSERT INTO "prints" VALUES('d7700852e73aa4f72d4d92f2f385b205c4b2e6d025d414f99e6a5fab0e1a1b8f',X'D377571E3A471FAFD84679285CF268715B515B165B517069452E070E470D5C63',100,X'C2CF7E73908BBB8B5BA088766B63AA90C7836343BE69A558543772506B708C6CA995A970452E856A606B736C83514D6D','2026-11-27 03:09:44.850215');
CREATE TABLE records (
	record_id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	picture_sha256 VARCHAR(64) NOT NULL, 
	path TEXT NOT NULL, 
	listing_id TEXT NOT NULL, 
	seller_id TEXT NOT NULL, 
	goods TEXT NOT NULL, 
	action VARCHAR(8) NOT NULL, 
	applied VARCHAR(8) NOT NULL, 
	mode VARCHAR(8) NOT NULL, 
	model TEXT NOT NULL, 
	model_sha256 VARCHAR(64) NOT NULL, 
	policy_version TEXT NOT NULL, 
	policy_sha256 VARCHAR(64) NOT NULL, 
	forged FLOAT, 
	latency_ms FLOAT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (record_id)
);
INSERT INTO "records" VALUES('01a21afa-f652-706a-afd1-a721dd9ab364','2026-11-27 03:09:44.402629','5a9e02101783f6bb494f2c2bc416533958f0652033b72fa489528770a0f35b7a','a.jpg','L0','shop','','review','review','enforce','tiny@1','0000000000000000000000000000000000000000000000000000000000000000','2026-11-24','217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495',0.95,5.04937359992254641838e+01,'{"record_id":"01a21afa-f652-706a-afd1-a721dd9ab364","created_at":"2026-11-27T03:09:44.402629Z","path":"a.jpg","picture_sha256":"5a9e02101783f6bb494f2c2bc416533958f0652033b72fa489528770a0f35b7a","picture_format":"JPEG","width":96,"height":64,"byte_count":1574,"notes":[],"listing":{"listing_id":"L0","seller_id":"shop","goods":"","title":"连衣裙","declared_ai":false,"declared_attributes":{}},"verdict":{"scores":{"material_mismatch":0.95,"exaggerated_effect":0.95,"scene_distortion":0.95,"cutout_artifact":0.95,"ai_generated":0.95,"forged":0.95},"model":{"name":"tiny","version":"1","sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"basis":"picture alone","heatmaps":[]},"evidence":[{"kind":"hash","name":"bank_no_match","detail":"no bank knows this picture","trust":"measured","location":"","ai_state":null,"score":null},{"kind":"model","name":"model_scores","detail":"tiny@1 gives 0.950 that any of the five holds","trust":"measured","location":"","ai_state":null,"score":0.95}],"decision":{"action":"review","applied":"review","mode":"enforce","reasons":[{"code":"score_material_mismatch","action":"review","en":"The fabric, surface, colour pattern or print of the goods looks replaced by editing; buyers may receive goods of another material or style. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品的面料、质感、花色或印花疑似经过替换，买家收到的商品材质或款式可能与图片不符。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"material_mismatch","score":0.95,"threshold":0.9},{"code":"score_exaggerated_effect","action":"review","en":"The look of the goods or of the skin seems pushed by retouching beyond what they can show. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品或皮肤的效果疑似经过过度修饰，超出真实可达到的程度。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"exaggerated_effect","score":0.95,"threshold":0.9},{"code":"score_scene_distortion","action":"review","en":"The scene, its size relations, light or shapes look impossible or put together. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"场景、比例、光线或形状疑似不真实或由多张图片拼合。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"scene_distortion","score":0.95,"threshold":0.9},{"code":"score_cutout_artifact","action":"review","en":"The goods look cut out and pasted: rough edges, fringes, or pixels that do not match the background. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品疑似抠图后粘贴：边缘粗糙、有杂边，或与背景画质不一致。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"cutout_artifact","score":0.95,"threshold":0.9},{"code":"score_ai_generated","action":"label","en":"The picture carries traces of AI generation. That is no offence, but it must be labelled. (score 0.95, limit 0.80) It stays online with a label.","zh":"图片带有 AI 生成的痕迹。这并不违规，但必须加以标识。（得分 0.95，阈值 0.80）图片可继续展示，并将添加标识。","label":"ai_generated","score":0.95,"threshold":0.8}],"policy_version":"2026-11-24","policy_sha256":"217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495","ai_state":3,"thresholds":{"material_mismatch.review":0.9,"exaggerated_effect.review":0.9,"scene_distortion.review":0.9,"cutout_artifact.review":0.9,"ai_generated.label":0.8}},"latency_ms":50.493735999225464}');
INSERT INTO "records" VALUES('01a21afa-f6b4-7593-8960-8f9caf9a7630','2026-11-27 03:09:44.500177','0fd17f3bc918fe9cd169ab5277eb7bef2db4c025828ea1d738c88375335180a2','a.jpg','L2','shop','','review','review','enforce','tiny@1','0000000000000000000000000000000000000000000000000000000000000000','2026-11-24','217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495',0.95,2.90740500076935859397e+00,'{"record_id":"01a21afa-f6b4-7593-8960-8f9caf9a7630","created_at":"2026-11-27T03:09:44.500177Z","path":"a.jpg","picture_sha256":"0fd17f3bc918fe9cd169ab5277eb7bef2db4c025828ea1d738c88375335180a2","picture_format":"JPEG","width":96,"height":64,"byte_count":1593,"notes":[],"listing":{"listing_id":"L2","seller_id":"shop","goods":"","title":"连衣裙","declared_ai":true,"declared_attributes":{}},"verdict":{"scores":{"material_mismatch":0.95,"exaggerated_effect":0.95,"scene_distortion":0.95,"cutout_artifact":0.95,"ai_generated":0.95,"forged":0.95},"model":{"name":"tiny","version":"1","sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"basis":"picture alone","heatmaps":[]},"evidence":[{"kind":"hash","name":"bank_no_match","detail":"no bank knows this picture","trust":"measured","location":"","ai_state":null,"score":null},{"kind":"declaration","name":"declared_ai","detail":"the uploader declared AI use","trust":"declared","location":"upload form","ai_state":2,"score":null},{"kind":"model","name":"model_scores","detail":"tiny@1 gives 0.950 that any of the five holds","trust":"measured","location":"","ai_state":null,"score":0.95}],"decision":{"action":"review","applied":"review","mode":"enforce","reasons":[{"code":"declaration_declared_ai","action":"label","en":"You declared this picture as AI-made. It stays online with a label.","zh":"您已声明该图片由 AI 制作。图片可继续展示，并将添加标识。","label":"ai_generated","score":null,"threshold":null},{"code":"score_material_mismatch","action":"review","en":"The fabric, surface, colour pattern or print of the goods looks replaced by editing; buyers may receive goods of another material or style. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品的面料、质感、花色或印花疑似经过替换，买家收到的商品材质或款式可能与图片不符。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"material_mismatch","score":0.95,"threshold":0.9},{"code":"score_exaggerated_effect","action":"review","en":"The look of the goods or of the skin seems pushed by retouching beyond what they can show. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品或皮肤的效果疑似经过过度修饰，超出真实可达到的程度。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"exaggerated_effect","score":0.95,"threshold":0.9},{"code":"score_scene_distortion","action":"review","en":"The scene, its size relations, light or shapes look impossible or put together. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"场景、比例、光线或形状疑似不真实或由多张图片拼合。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"scene_distortion","score":0.95,"threshold":0.9},{"code":"score_cutout_artifact","action":"review","en":"The goods look cut out and pasted: rough edges, fringes, or pixels that do not match the background. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品疑似抠图后粘贴：边缘粗糙、有杂边，或与背景画质不一致。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"cutout_artifact","score":0.95,"threshold":0.9},{"code":"score_ai_generated","action":"label","en":"The picture carries traces of AI generation. That is no offence, but it must be labelled. (score 0.95, limit 0.80) It stays online with a label.","zh":"图片带有 AI 生成的痕迹。这并不违规，但必须加以标识。（得分 0.95，阈值 0.80）图片可继续展示，并将添加标识。","label":"ai_generated","score":0.95,"threshold":0.8}],"policy_version":"2026-11-24","policy_sha256":"217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495","ai_state":2,"thresholds":{"material_mismatch.review":0.9,"exaggerated_effect.review":0.9,"scene_distortion.review":0.9,"cutout_artifact.review":0.9,"ai_generated.label":0.8}},"latency_ms":2.9074050007693586}');
INSERT INTO "records" VALUES('01a21afa-f6c1-7424-bd5a-284cd2f44a6a','2026-11-27 03:09:44.513075','5f1ede82a40dcf2ae9bbc1f29772d8fb0f8757a25bdba55c837b7bab2f07952f','a.jpg','L3','shop','','review','review','enforce','tiny@1','0000000000000000000000000000000000000000000000000000000000000000','2026-11-24','217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495',0.95,2.97323299946583574637e+00,'{"record_id":"01a21afa-f6c1-7424-bd5a-284cd2f44a6a","created_at":"2026-11-27T03:09:44.513075Z","path":"a.jpg","picture_sha256":"5f1ede82a40dcf2ae9bbc1f29772d8fb0f8757a25bdba55c837b7bab2f07952f","picture_format":"JPEG","width":96,"height":64,"byte_count":1614,"notes":[],"listing":{"listing_id":"L3","seller_id":"shop","goods":"","title":"连衣裙","declared_ai":false,"declared_attributes":{}},"verdict":{"scores":{"material_mismatch":0.95,"exaggerated_effect":0.95,"scene_distortion":0.95,"cutout_artifact":0.95,"ai_generated":0.95,"forged":0.95},"model":{"name":"tiny","version":"1","sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"basis":"picture alone","heatmaps":[]},"evidence":[{"kind":"hash","name":"bank_no_match","detail":"no bank knows this picture","trust":"measured","location":"","ai_state":null,"score":null},{"kind":"model","name":"model_scores","detail":"tiny@1 gives 0.950 that any of the five holds","trust":"measured","location":"","ai_state":null,"score":0.95}],"decision":{"action":"review","applied":"review","mode":"enforce","reasons":[{"code":"score_material_mismatch","action":"review","en":"The fabric, surface, colour pattern or print of the goods looks replaced by editing; buyers may receive goods of another material or style. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品的面料、质感、花色或印花疑似经过替换，买家收到的商品材质或款式可能与图片不符。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"material_mismatch","score":0.95,"threshold":0.9},{"code":"score_exaggerated_effect","action":"review","en":"The look of the goods or of the skin seems pushed by retouching beyond what they can show. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品或皮肤的效果疑似经过过度修饰，超出真实可达到的程度。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"exaggerated_effect","score":0.95,"threshold":0.9},{"code":"score_scene_distortion","action":"review","en":"The scene, its size relations, light or shapes look impossible or put together. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"场景、比例、光线或形状疑似不真实或由多张图片拼合。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"scene_distortion","score":0.95,"threshold":0.9},{"code":"score_cutout_artifact","action":"review","en":"The goods look cut out and pasted: rough edges, fringes, or pixels that do not match the background. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品疑似抠图后粘贴：边缘粗糙、有杂边，或与背景画质不一致。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"cutout_artifact","score":0.95,"threshold":0.9},{"code":"score_ai_generated","action":"label","en":"The picture carries traces of AI generation. That is no offence, but it must be labelled. (score 0.95, limit 0.80) It stays online with a label.","zh":"图片带有 AI 生成的痕迹。这并不违规，但必须加以标识。（得分 0.95，阈值 0.80）图片可继续展示，并将添加标识。","label":"ai_generated","score":0.95,"threshold":0.8}],"policy_version":"2026-11-24","policy_sha256":"217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495","ai_state":3,"thresholds":{"material_mismatch.review":0.9,"exaggerated_effect.review":0.9,"scene_distortion.review":0.9,"cutout_artifact.review":0.9,"ai_generated.label":0.8}},"latency_ms":2.9732329994658357}');
INSERT INTO "records" VALUES('01a21afa-f6ce-757f-9e15-1db355136df4','2026-11-27 03:09:44.526735','6606954c485a8da50206bf38ed40f6ef4192a26a47f96dd2b6c5f3f4e500823a','k.jpg','','','','review','review','enforce','','','2026-11-24','217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495',NULL,3.7571290004052571021e+00,'{"record_id":"01a21afa-f6ce-757f-9e15-1db355136df4","created_at":"2026-11-27T03:09:44.526735Z","path":"k.jpg","picture_sha256":"6606954c485a8da50206bf38ed40f6ef4192a26a47f96dd2b6c5f3f4e500823a","picture_format":"JPEG","width":96,"height":64,"byte_count":1544,"notes":[],"listing":{"listing_id":"","seller_id":"","goods":"","title":"","declared_ai":null,"declared_attributes":{}},"verdict":null,"evidence":[{"kind":"hash","name":"bank_known_bad","detail":"bank known, entry 1, sha256 (the same bytes): the same file","trust":"measured","location":"known","ai_state":null,"score":null},{"kind":"model","name":"model_not_asked","detail":"a bank knows these very bytes; the model was not run","trust":"measured","location":"","ai_state":null,"score":null}],"decision":{"action":"review","applied":"review","mode":"enforce","reasons":[{"code":"bank_known_bad","action":"review","en":"This is the same file as a picture that was found untrue before. A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"该文件与此前已被认定不实的图片完全相同。审核人员将先行查看，您可以补充商品实拍图。","label":null,"score":null,"threshold":null}],"policy_version":"2026-11-24","policy_sha256":"217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495","ai_state":null,"thresholds":{}},"latency_ms":3.757129000405257}');
INSERT INTO "records" VALUES('01a21afa-f7e4-7167-9caf-cd2ae21905bc','2026-11-27 03:09:44.804977','d7700852e73aa4f72d4d92f2f385b205c4b2e6d025d414f99e6a5fab0e1a1b8f','a.jpg','L1','shop','','review','review','enforce','tiny@1','0000000000000000000000000000000000000000000000000000000000000000','2026-11-24','217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495',0.95,3.73831100023380713537e+00,'{"record_id":"01a21afa-f7e4-7167-9caf-cd2ae21905bc","created_at":"2026-11-27T03:09:44.804977Z","path":"a.jpg","picture_sha256":"d7700852e73aa4f72d4d92f2f385b205c4b2e6d025d414f99e6a5fab0e1a1b8f","picture_format":"JPEG","width":96,"height":64,"byte_count":1557,"notes":[],"listing":{"listing_id":"L1","seller_id":"shop","goods":"","title":"连衣裙","declared_ai":false,"declared_attributes":{}},"verdict":{"scores":{"material_mismatch":0.95,"exaggerated_effect":0.95,"scene_distortion":0.95,"cutout_artifact":0.95,"ai_generated":0.95,"forged":0.95},"model":{"name":"tiny","version":"1","sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"basis":"reference","heatmaps":[]},"evidence":[{"kind":"hash","name":"bank_no_match","detail":"no bank knows this picture","trust":"measured","location":"","ai_state":null,"score":null},{"kind":"model","name":"model_scores","detail":"tiny@1 gives 0.950 that any of the five holds","trust":"measured","location":"","ai_state":null,"score":0.95},{"kind":"reference","name":"reference_comparison","detail":"pair@1: mismatch 0.930, similarity 0.900 to the closest of 1 references, sha256 aaaaaaaaaaaaaaaa","trust":"measured","location":"","ai_state":null,"score":0.93}],"decision":{"action":"review","applied":"review","mode":"enforce","reasons":[{"code":"score_material_mismatch","action":"review","en":"The fabric, surface, colour pattern or print of the goods looks replaced by editing; buyers may receive goods of another material or style. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品的面料、质感、花色或印花疑似经过替换，买家收到的商品材质或款式可能与图片不符。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"material_mismatch","score":0.95,"threshold":0.9},{"code":"score_exaggerated_effect","action":"review","en":"The look of the goods or of the skin seems pushed by retouching beyond what they can show. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品或皮肤的效果疑似经过过度修饰，超出真实可达到的程度。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"exaggerated_effect","score":0.95,"threshold":0.9},{"code":"score_scene_distortion","action":"review","en":"The scene, its size relations, light or shapes look impossible or put together. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"场景、比例、光线或形状疑似不真实或由多张图片拼合。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"scene_distortion","score":0.95,"threshold":0.9},{"code":"score_cutout_artifact","action":"review","en":"The goods look cut out and pasted: rough edges, fringes, or pixels that do not match the background. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品疑似抠图后粘贴：边缘粗糙、有杂边，或与背景画质不一致。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"cutout_artifact","score":0.95,"threshold":0.9},{"code":"score_ai_generated","action":"label","en":"The picture carries traces of AI generation. That is no offence, but it must be labelled. (score 0.95, limit 0.80) It stays online with a label.","zh":"图片带有 AI 生成的痕迹。这并不违规，但必须加以标识。（得分 0.95，阈值 0.80）图片可继续展示，并将添加标识。","label":"ai_generated","score":0.95,"threshold":0.8},{"code":"comparison_material_mismatch","action":"review","en":"The goods look unlike the reference pictures (score 0.93, limit 0.50). A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"图中商品与参考图片不符（得分 0.93，阈值 0.50）。审核人员将先行查看，您可以补充商品实拍图。","label":"material_mismatch","score":0.93,"threshold":0.5}],"policy_version":"2026-11-24","policy_sha256":"217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495","ai_state":3,"thresholds":{"material_mismatch.review":0.9,"exaggerated_effect.review":0.9,"scene_distortion.review":0.9,"cutout_artifact.review":0.9,"ai_generated.label":0.8,"comparison.review":0.5}},"latency_ms":3.738311000233807}');
INSERT INTO "records" VALUES('0193a0b0-0000-7000-8000-000000000001','2026-11-27 03:09:44.804977','d7700852e73aa4f72d4d92f2f385b205c4b2e6d025d414f99e6a5fab0e1a1b8f','a.jpg','L1','shop','','review','review','enforce','tiny@1','0000000000000000000000000000000000000000000000000000000000000000','2026-11-24','217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495',0.95,3.73831100023380713537e+00,'{"record_id":"0193a0b0-0000-7000-8000-000000000001","created_at":"2026-11-27T03:09:44.804977Z","path":"a.jpg","picture_sha256":"d7700852e73aa4f72d4d92f2f385b205c4b2e6d025d414f99e6a5fab0e1a1b8f","picture_format":"JPEG","width":96,"height":64,"byte_count":1557,"notes":[],"listing":{"listing_id":"L1","seller_id":"shop","goods":"","title":"连衣裙","declared_ai":false,"declared_attributes":{}},"verdict":{"scores":{"material_mismatch":0.95,"exaggerated_effect":0.95,"scene_distortion":0.95,"cutout_artifact":0.95,"ai_generated":0.95,"forged":0.95},"model":{"name":"tiny","version":"1","sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"basis":"reference","heatmaps":[]},"evidence":[{"kind":"hash","name":"bank_no_match","detail":"no bank knows this picture","trust":"measured","location":"","ai_state":null,"score":null},{"kind":"model","name":"model_scores","detail":"tiny@1 gives 0.950 that any of the five holds","trust":"measured","location":"","ai_state":null,"score":0.95},{"kind":"reference","name":"reference_comparison","detail":"pair@1: mismatch 0.930, similarity 0.900 to the closest of 1 references, sha256 aaaaaaaaaaaaaaaa","trust":"measured","location":"","ai_state":null,"score":0.93}],"decision":{"action":"review","applied":"review","mode":"enforce","reasons":[{"code":"score_material_mismatch","action":"review","en":"The fabric, surface, colour pattern or print of the goods looks replaced by editing; buyers may receive goods of another material or style. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品的面料、质感、花色或印花疑似经过替换，买家收到的商品材质或款式可能与图片不符。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"material_mismatch","score":0.95,"threshold":0.9},{"code":"score_exaggerated_effect","action":"review","en":"The look of the goods or of the skin seems pushed by retouching beyond what they can show. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品或皮肤的效果疑似经过过度修饰，超出真实可达到的程度。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"exaggerated_effect","score":0.95,"threshold":0.9},{"code":"score_scene_distortion","action":"review","en":"The scene, its size relations, light or shapes look impossible or put together. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"场景、比例、光线或形状疑似不真实或由多张图片拼合。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"scene_distortion","score":0.95,"threshold":0.9},{"code":"score_cutout_artifact","action":"review","en":"The goods look cut out and pasted: rough edges, fringes, or pixels that do not match the background. (score 0.95, limit 0.90) A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"商品疑似抠图后粘贴：边缘粗糙、有杂边，或与背景画质不一致。（得分 0.95，阈值 0.90）审核人员将先行查看，您可以补充商品实拍图。","label":"cutout_artifact","score":0.95,"threshold":0.9},{"code":"score_ai_generated","action":"label","en":"The picture carries traces of AI generation. That is no offence, but it must be labelled. (score 0.95, limit 0.80) It stays online with a label.","zh":"图片带有 AI 生成的痕迹。这并不违规，但必须加以标识。（得分 0.95，阈值 0.80）图片可继续展示，并将添加标识。","label":"ai_generated","score":0.95,"threshold":0.8},{"code":"comparison_material_mismatch","action":"review","en":"The goods look unlike the reference pictures (score 0.93, limit 0.50). A reviewer looks at it before anything happens; you may send a photo of the real goods.","zh":"图中商品与参考图片不符（得分 0.93，阈值 0.50）。审核人员将先行查看，您可以补充商品实拍图。","label":"material_mismatch","score":0.93,"threshold":0.5}],"policy_version":"2026-11-24","policy_sha256":"217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495","ai_state":3,"thresholds":{"material_mismatch.review":0.9,"exaggerated_effect.review":0.9,"scene_distortion.review":0.9,"cutout_artifact.review":0.9,"ai_generated.label":0.8,"comparison.review":0.5}},"latency_ms":3.738311000233807}');
INSERT INTO "records" VALUES('01a21afb-1708-7181-af97-2fc3dac08d98','2026-11-27 03:09:52.776448','3b36495fe003f3accb8db30aa6ae9f7ecee0f55a2f700c40e7cc1c9302e8fa14','/old/pictures/20.jpg','','','','allow','allow','enforce','tiny@1','1dd36082666bd3b30dccb6277ef9205d0ec7825d59ed7d1384ee7604379b4bba','2026-11-24','217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495',4.67627432890080962923e-01,3.07016019996808608993e+01,'{"record_id":"01a21afb-1708-7181-af97-2fc3dac08d98","created_at":"2026-11-27T03:09:52.776448Z","path":"/old/pictures/20.jpg","picture_sha256":"3b36495fe003f3accb8db30aa6ae9f7ecee0f55a2f700c40e7cc1c9302e8fa14","picture_format":"JPEG","width":96,"height":64,"byte_count":1584,"notes":[],"listing":{"listing_id":"","seller_id":"","goods":"","title":"","declared_ai":null,"declared_attributes":{}},"verdict":{"scores":{"material_mismatch":0.4945972243304077,"exaggerated_effect":0.48919571016904506,"scene_distortion":0.4837967178462053,"cutout_artifact":0.4784015053386454,"ai_generated":0.4730113270986513,"forged":0.46762743289008096},"model":{"name":"tiny","version":"1","sha256":"1dd36082666bd3b30dccb6277ef9205d0ec7825d59ed7d1384ee7604379b4bba"},"basis":"picture alone","heatmaps":[]},"evidence":[{"kind":"hash","name":"bank_no_match","detail":"no bank knows this picture","trust":"measured","location":"","ai_state":null,"score":null},{"kind":"model","name":"model_scores","detail":"tiny@1 gives 0.468 that any of the five holds","trust":"measured","location":"","ai_state":null,"score":0.46762743289008096}],"decision":{"action":"allow","applied":"allow","mode":"enforce","reasons":[{"code":"nothing_found","action":"allow","en":"Nothing that needs action was found.","zh":"未发现需要处理的问题。","label":null,"score":null,"threshold":null}],"policy_version":"2026-11-24","policy_sha256":"217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495","ai_state":null,"thresholds":{"material_mismatch.review":0.9,"exaggerated_effect.review":0.9,"scene_distortion.review":0.9,"cutout_artifact.review":0.9,"ai_generated.label":0.8}},"latency_ms":30.70160199968086}');
INSERT INTO "records" VALUES('01a21afb-1748-72ea-a8f2-dab9eafcbf0e','2026-11-27 03:09:52.840951','93cde93c4ea1aa748e6d2287fa724daba97752f86200dd3c060fb56bc973e8d6','/old/pictures/21.jpg','','','','allow','allow','enforce','tiny@1','1dd36082666bd3b30dccb6277ef9205d0ec7825d59ed7d1384ee7604379b4bba','2026-11-24','217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495',4.83339236499802149538e-01,1.51406140003018663264e+01,'{"record_id":"01a21afb-1748-72ea-a8f2-dab9eafcbf0e","created_at":"2026-11-27T03:09:52.840951Z","path":"/old/pictures/21.jpg","picture_sha256":"93cde93c4ea1aa748e6d2287fa724daba97752f86200dd3c060fb56bc973e8d6","picture_format":"JPEG","width":96,"height":64,"byte_count":1584,"notes":[],"listing":{"listing_id":"","seller_id":"","goods":"","title":"","declared_ai":null,"declared_attributes":{}},"verdict":{"scores":{"material_mismatch":0.4972222062632895,"exaggerated_effect":0.49444458399200636,"scene_distortion":0.49166730460924407,"cutout_artifact":0.4888905394534507,"ai_generated":0.48611445973616235,"forged":0.48333923649980215},"model":{"name":"tiny","version":"1","sha256":"1dd36082666bd3b30dccb6277ef9205d0ec7825d59ed7d1384ee7604379b4bba"},"basis":"picture alone","heatmaps":[]},"evidence":[{"kind":"hash","name":"bank_no_match","detail":"no bank knows this picture","trust":"measured","location":"","ai_state":null,"score":null},{"kind":"model","name":"model_scores","detail":"tiny@1 gives 0.483 that any of the five holds","trust":"measured","location":"","ai_state":null,"score":0.48333923649980215}],"decision":{"action":"allow","applied":"allow","mode":"enforce","reasons":[{"code":"nothing_found","action":"allow","en":"Nothing that needs action was found.","zh":"未发现需要处理的问题。","label":null,"score":null,"threshold":null}],"policy_version":"2026-11-24","policy_sha256":"217164b8c57a3b0a9ca55be0490e65dc59092cf91653d1f035e2b37243557495","ai_state":null,"thresholds":{"material_mismatch.review":0.9,"exaggerated_effect.review":0.9,"scene_distortion.review":0.9,"cutout_artifact.review":0.9,"ai_generated.label":0.8}},"latency_ms":15.140614000301866}');
CREATE TABLE reference_pictures (
	sha256 VARCHAR(64) NOT NULL, 
	jpeg BLOB NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (sha256)
);
INSERT INTO "reference_pictures" VALUES('6606954c485a8da50206bf38ed40f6ef4192a26a47f96dd2b6c5f3f4e500823a',X'FFD8FFE000104A46494600010100000100010000FFDB0043000403030303020403030304040405060A06060505060C0809070A0E0C0F0E0E0C0D0D0F1116130F1015110D0D131A131517181919190F121B1D1B181D16181918FFDB0043010404040605060B06060B18100D101818181818181818181818181818181818181818181818181818181818181818181818181818181818181818181818181818FFC00011080040006003012200021101031101FFC4001F0000010501010101010100000000000000000102030405060708090A0BFFC400B5100002010303020403050504040000017D01020300041105122131410613516107227114328191A1082342B1C11552D1F02433627282090A161718191A25262728292A3435363738393A434445464748494A535455565758595A636465666768696A737475767778797A838485868788898A92939495969798999AA2A3A4A5A6A7A8A9AAB2B3B4B5B6B7B8B9BAC2C3C4C5C6C7C8C9CAD2D3D4D5D6D7D8D9DAE1E2E3E4E5E6E7E8E9EAF1F2F3F4F5F6F7F8F9FAFFC4001F0100030101010101010101010000000000000102030405060708090A0BFFC400B51100020102040403040705040400010277000102031104052131061241510761711322328108144291A1B1C109233352F0156272D10A162434E125F11718191A262728292A35363738393A434445464748494A535455565758595A636465666768696A737475767778797A82838485868788898A92939495969798999AA2A3A4A5A6A7A8A9AAB2B3B4B5B6B7B8B9BAC2C3C4C5C6C7C8C9CAD2D3D4D5D6D7D8D9DAE2E3E4E5E6E7E8E9EAF2F3F4F5F6F7F8F9FAFFDA000C03010002110311003F00E66CEFA2F357E6AF4CF09DC2B6DF9ABE5DD37C513B5C2FCCD5EEDF0F7566B8F2F7357DAF8999A53A98194627D7E5F8B8D3A87AF6A4DFE855E4BE249B6DC357AA6A532FF66FDEFE1AF15F165E2ADC49F357E15C118F8D1AD2948F91E37E15AD9FCA32A279FEB932FDA1AB4BC1722FF6947FEF571FAE5E334ADB6B5BC0F74DFDAF1EEFEF57EEB1E2EA32A3EC0EAC8F27A992E13D9D43EC6F05C9FF0012B8FF00DDABDAE5F451C4DB9AB07C1F7912E8CACCDFC35C5FC42F167D8D24DAD5F3F825F57C47D625F08F29CD2387C6734877883508A4464575AF33D4159AED9D6B0D7C652DF5FF0095BABB4D26CD6FA2595ABD7CCAB4735F7691D5C5DC355B89A3CF872AE930B2BEFAEAA1FB94D8F4D5B75A9976AD7AB95E5F2A34F9647E298CC3CF87E5EC6B1E3B6FF0CE7B7657F29ABBAF0FDAB687B777CBB6BB09B5CD2993E5DB5CCEAD7515C2B7915F9C7152C46270FCA7EAFC199953C462A31C5CB9625ED63C6CB1D9B2F9B5E4BE20F127DAA76F9BEF55ED634DBE991B6EEAE4EE3C3F7CD3AB32B7DEAE8F0CF863055B9BEB92E53F6ECDABE070F87FF619731A5A7E86DAC3EEDBBB75761A6F845B49759D976D5CF03DAC566B1F9EB5DC6BD7966DA5B2C5B776DADB89F20FAB637FD93DE89FCA3C43C439E54CD7D8C69CBD99870F8F9749B7FB2F9B5C8F88B5A6F106EDADBB7571FE24B7BE9B51668B76DDD5B1E17B19D5D7CFAF273AC7D4A184E53F79C8B87F0553071AD8997BC55D3FC3B2C37BE6B2D7A468FA82D8C0A8D4D68625B7FBAB5837D232BB6CAFA9F0B3FDB65FBE3EAF058BC2E5F1F6746475575E225D9F7EB3DBC44BFDEAE4596793FBD51FD96E5BFBD5FB1636781C34B9798F1732F0EB0BC4153DB54391B3F146A4D2AEE66AF44F0CDF35E3AF9ED586BE11587E6D95721DDA5FDDFE1AFC4F17C4B81C4C794F83CE3C2BCC553FF65972C8F54874DB19A0F9B6D55BCD174EFE1DB5E7EDE329615DBBAA18FC692CD2EDDD5E0AC2E2715539B052E538F8732CCC787EA7FC29CB98E8B5056B3FF5159B0DD5F5D4BB65DDB6BA2D0EDFFB636EEFE2AEC21F07C10A79BB6BF5DC97091A784F678AF7A47EBB3C7E495B07ED254E3CC70F6FE1D8AE22F3655A74DA7C163F77E5AEBAF238AC536D707E20D4B6EED95E1E2F82AA6675251A67E218FCDB1188C54A961A5EE84D79FC3BAB3E4DB23561AEA12C93D6A46D2B41BABCCAD8097087C476E19E330F2E6AB2342DE3817EF6DABCAB67FDE5AF3FD63589ECF76DDD5CACDE34BC8DBEF35791530D8FCEA5EDA8C8FD4726E3CC3E0A9F2D43DEA485592B1EFB47FB46EDAB5D02AD5EB7B756AFC27178E9518F344C67C7D5CF3593C232C8DF769D6FE0B9639776DAF5EB7D3E266FBB57A4D3625B7FBB5F53C23C595A9CB94F0B30C7CB378F354387D0E4FEC7DBBBF86BA0BCF1D451C1B7CDAE67C4CDF67DDB7E5AF2DD63549D59BE66AFDE787F34A98DA91E63F33CCB32A987A9F5789E81AA78C96E256FDED61C927F693D79BAEA52B5C7DEAF42F09B79CEBBABEEF8B334970FE5DF5BA27DC7066414F175A35246B69BE1779A556DB5DA58F835A4836F955B9A0D9C4C57E5AF46D1F4F89B6FC95FC6BC4DE23E2F3DC472D63EC38BB29A786A7EE9E27A87C259750DDB60AE7E4F8073C8FBFC86FF00BE6BED0D1F41B69917744B5D543E18B1DBF344B5FA170971356C3E1E3189F93D4C146A1FFFD9','2026-11-27 03:09:44.700562');
CREATE TABLE retention_log (
	prune_id VARCHAR(36) NOT NULL, 
	pruned_at DATETIME NOT NULL, 
	scope TEXT NOT NULL, 
	record_count INTEGER NOT NULL, 
	PRIMARY KEY (prune_id)
);
CREATE TABLE retention_pass (
	pass_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (pass_id)
);
CREATE TABLE review_cursor (
	one INTEGER NOT NULL, 
	looked_until DATETIME NOT NULL, 
	PRIMARY KEY (one)
);
INSERT INTO "review_cursor" VALUES(1,'2026-11-27 03:09:44.526735');
CREATE TABLE review_decisions (
	decision_id VARCHAR(36) NOT NULL, 
	item_id VARCHAR(36) NOT NULL, 
	record_id VARCHAR(36) NOT NULL, 
	reviewer TEXT NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	category VARCHAR(24) NOT NULL, 
	note TEXT NOT NULL, 
	together VARCHAR(36) NOT NULL, 
	bank_entry_id INTEGER, 
	decided_at DATETIME NOT NULL, 
	undone_at DATETIME, 
	PRIMARY KEY (decision_id)
);
INSERT INTO "review_decisions" VALUES('01a21afa-f753-7012-b87a-b6c3db52f9c0','01a21afa-f6fa-7698-85e4-c164dbe085cb','01a21afa-f652-706a-afd1-a721dd9ab364','ann','uphold','ai_generated','','01a21afa-f753-7012-b87a-b6c3db52f9c0',NULL,'2026-11-27 03:09:44.659322',NULL);
INSERT INTO "review_decisions" VALUES('01a21afa-f76a-7386-8155-28efc8be805e','01a21afa-f6fa-7698-85e4-c166825f9f8b','01a21afa-f6b4-7593-8960-8f9caf9a7630','ann','overturn','','真图','01a21afa-f76a-7386-8155-28efc8be805e',3,'2026-11-27 03:09:44.696762',NULL);
CREATE TABLE review_items (
	item_id VARCHAR(36) NOT NULL, 
	record_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(10) NOT NULL, 
	picture_sha256 VARCHAR(64) NOT NULL, 
	priority FLOAT NOT NULL, 
	score FLOAT NOT NULL, 
	category VARCHAR(24) NOT NULL, 
	uncertainty FLOAT NOT NULL, 
	novelty FLOAT NOT NULL, 
	disagreement FLOAT NOT NULL, 
	goods TEXT NOT NULL, 
	seller_id TEXT NOT NULL, 
	listing_id TEXT NOT NULL, 
	job_id VARCHAR(36) NOT NULL, 
	model TEXT NOT NULL, 
	policy_version TEXT NOT NULL, 
	pdq BLOB, 
	colour BLOB, 
	group_id VARCHAR(36) NOT NULL, 
	created_at DATETIME NOT NULL, 
	due_at DATETIME, 
	leased_by TEXT NOT NULL, 
	leased_until DATETIME, 
	not_by TEXT NOT NULL, 
	decided_at DATETIME, 
	PRIMARY KEY (item_id), 
	CONSTRAINT review_items_once UNIQUE (record_id, kind)
);
INSERT INTO "review_items" VALUES('01a21afa-f6fa-7698-85e4-c164dbe085cb','01a21afa-f652-706a-afd1-a721dd9ab364','screening','5a9e02101783f6bb494f2c2bc416533958f0652033b72fa489528770a0f35b7a',1.95,0.95,'ai_generated',8.00000000000000266453e-01,1.0,0.75,'','shop','L0','','tiny@1','2026-11-24',X'AC7E2AE34A117DF35384233352F6A39C531BA46ED23A3B916CE4BC631789278C',X'6BB39D6BA847A2A0636F7D775EA486607F78957F7D677FADB497AF60985E7691B0A5B54BBA6AC2AA9C367542B3867899','01a21afa-f6fa-7698-85e4-c16360de17dd','2026-11-27 03:09:44.570763',NULL,'ann',NULL,'','2026-11-27 03:09:44.656868');
INSERT INTO "review_items" VALUES('01a21afa-f6fa-7698-85e4-c166825f9f8b','01a21afa-f6b4-7593-8960-8f9caf9a7630','screening','0fd17f3bc918fe9cd169ab5277eb7bef2db4c025828ea1d738c88375335180a2',1.95,0.95,'ai_generated',8.00000000000000266453e-01,0.78125,0.0,'','shop','L2','','tiny@1','2026-11-24',X'2B630FE8DA6A27515FEF1A548667970E1B12A46D2F321B92E46D78717258331B',X'C85B60B28E585E7879847C8390C8657D52AB754D7E98866B7A93A26A7E9C826EB3A169475D70767E8597CB806E72C376','01a21afa-f6fa-7698-85e4-c165ae4a5ea4','2026-11-27 03:09:44.570957',NULL,'ann',NULL,'','2026-11-27 03:09:44.682055');
INSERT INTO "review_items" VALUES('01a21afa-f6fb-753e-a386-6cfcb8676ac0','01a21afa-f6c1-7424-bd5a-284cd2f44a6a','screening','5f1ede82a40dcf2ae9bbc1f29772d8fb0f8757a25bdba55c837b7bab2f07952f',1.95,0.95,'ai_generated',8.00000000000000266453e-01,0.984375,0.0,'','shop','L3','','tiny@1','2026-11-24',X'4900E505AEA7A39F14A7711553FEEE63952A8E4446AAF13B6AD5211C7DE3864F',X'C17C7F9D7666366B8C544AA7A5543C49842D4174862972876C427A6973778F9B6B5191AB598DBF9B90A05F5AB08E49B0','01a21afa-f6fb-753e-a386-6cfbd6cd3fe2','2026-11-27 03:09:44.571016',NULL,'',NULL,'',NULL);
INSERT INTO "review_items" VALUES('01a21afa-f6fb-753e-a386-6cfecdfd2d90','01a21afa-f6ce-757f-9e15-1db355136df4','screening','6606954c485a8da50206bf38ed40f6ef4192a26a47f96dd2b6c5f3f4e500823a',1.0,0.0,'ai_generated',1.0,0.953125,0.0,'','','','','','2026-11-24',X'6557A065D542EEBD396208BDD9197B92525D3EC24AD9E13DBD222C6D0C622ECD',X'A67281585D7AAE89B8518BAC94685C5A607B934E4CAA38D3636068AC53A26A6F9D86486CAA741A6F758F8D4999A6AF74','01a21afa-f6fb-753e-a386-6cfd8b46fa31','2026-11-27 03:09:44.571050',NULL,'',NULL,'',NULL);
INSERT INTO "review_items" VALUES('01a21afa-f788-7701-9906-6628563c8a08','01a21afa-f652-706a-afd1-a721dd9ab364','appeal','5a9e02101783f6bb494f2c2bc416533958f0652033b72fa489528770a0f35b7a',4.95,0.95,'ai_generated',8.00000000000000266453e-01,0.0,0.0,'','shop','L0','','tiny@1','2026-11-24',X'AC7E2AE34A117DF35384233352F6A39C531BA46ED23A3B916CE4BC631789278C',X'6BB39D6BA847A2A0636F7D775EA486607F78957F7D677FADB497AF60985E7691B0A5B54BBA6AC2AA9C367542B3867899','01a21afa-f6fa-7698-85e4-c16360de17dd','2026-11-27 03:09:44.712201','2026-11-30 03:09:44.710569','',NULL,'
ann
',NULL);
CREATE TABLE review_sessions (
	token_sha256 VARCHAR(64) NOT NULL, 
	reviewer TEXT NOT NULL, 
	role VARCHAR(8) NOT NULL, 
	key_id VARCHAR(16) NOT NULL, 
	csrf VARCHAR(64) NOT NULL, 
	expires_at DATETIME NOT NULL, 
	PRIMARY KEY (token_sha256)
);
CREATE TABLE review_skips (
	item_id VARCHAR(36) NOT NULL, 
	reviewer VARCHAR(200) NOT NULL, 
	skipped_at DATETIME NOT NULL, 
	PRIMARY KEY (item_id, reviewer)
);
CREATE TABLE scan_jobs (
	job_id VARCHAR(32) NOT NULL, 
	state VARCHAR(12) NOT NULL, 
	folder TEXT NOT NULL, 
	host TEXT NOT NULL, 
	sources TEXT NOT NULL, 
	model TEXT NOT NULL, 
	policy_version TEXT NOT NULL, 
	started_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	total INTEGER NOT NULL, 
	done INTEGER NOT NULL, 
	counts TEXT NOT NULL, 
	error TEXT NOT NULL, 
	PRIMARY KEY (job_id)
);
INSERT INTO "scan_jobs" VALUES('20261127-030944-f5f044','done','/old/jobs/20261127-030944-f5f044','vm','["/old/pictures"]','tiny@1','2026-11-24','2026-11-27 03:09:44.940952','2026-11-27 03:09:54.744934',2,2,'{"allow": 2, "label": 0, "review": 0, "block": 0, "error": 0, "known": 0}','');
CREATE TABLE shadow_verdicts (
	record_id VARCHAR(36) NOT NULL, 
	model TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	scores TEXT NOT NULL, 
	active_action VARCHAR(8) NOT NULL, 
	shadow_action VARCHAR(8) NOT NULL, 
	disagrees BOOLEAN NOT NULL, 
	PRIMARY KEY (record_id, model)
);
INSERT INTO "shadow_verdicts" VALUES('01a21afa-f652-706a-afd1-a721dd9ab364','tiny@1','2026-11-27 03:09:44.533209','{"material_mismatch": 0.2, "exaggerated_effect": 0.2, "scene_distortion": 0.2, "cutout_artifact": 0.2, "ai_generated": 0.2, "forged": 0.2}','review','allow',1);
CREATE INDEX ix_records_created_at ON records (created_at);
CREATE INDEX ix_records_listing_id ON records (listing_id);
CREATE INDEX ix_records_seller_id ON records (seller_id);
CREATE INDEX ix_records_action ON records (action);
CREATE INDEX records_by_picture ON records (picture_sha256, record_id);
CREATE TRIGGER records_no_update BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE TRIGGER records_no_delete BEFORE DELETE ON records WHEN NOT EXISTS (SELECT 1 FROM retention_pass) BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE INDEX ix_claims_record_id ON claims (record_id);
CREATE INDEX outbox_due ON outbox (state, due_at);
CREATE INDEX job_pictures_due ON job_pictures (state, due_at);
CREATE INDEX ix_in_force_kind ON in_force (kind);
CREATE INDEX ix_shadow_verdicts_disagrees ON shadow_verdicts (disagrees);
CREATE INDEX ix_bank_entries_revision ON bank_entries (revision);
CREATE INDEX bank_entries_by_sha256 ON bank_entries (bank, sha256);
CREATE INDEX bank_entries_by_pdq ON bank_entries (bank, pdq);
CREATE INDEX ix_prints_seen_at ON prints (seen_at);
CREATE INDEX ix_audit_act ON audit (act);
CREATE INDEX ix_audit_subject ON audit (subject);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE INDEX ix_review_items_seller_id ON review_items (seller_id);
CREATE INDEX ix_review_items_picture_sha256 ON review_items (picture_sha256);
CREATE INDEX ix_review_items_group_id ON review_items (group_id);
CREATE INDEX review_items_open ON review_items (decided_at, priority, created_at);
CREATE INDEX ix_review_decisions_together ON review_decisions (together);
CREATE INDEX ix_review_decisions_record_id ON review_decisions (record_id);
CREATE INDEX ix_review_decisions_item_id ON review_decisions (item_id);
CREATE INDEX review_decisions_by_reviewer ON review_decisions (reviewer, decided_at);
CREATE INDEX ix_appeals_item_id ON appeals (item_id);
CREATE INDEX ix_appeals_record_id ON appeals (record_id);
CREATE INDEX ix_appeals_state ON appeals (state);
CREATE INDEX known_verdicts_by_look ON known_verdicts (pdq);
CREATE INDEX ix_scan_jobs_started_at ON scan_jobs (started_at);
COMMIT;

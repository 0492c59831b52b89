;; attacks: admission.names, with a section of names that announces two hundred million of them
;; wat2wasm: --debug-names
;; bytes: 0 01 09 01 02 06 61 6e 73 77 65 72 => 01 0c ff ff ff 03 02 06 61 6e 73 77 65 72
;; with: nothing
;; gets: answers 1
;; control: raw: allocates 150 MiB
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
